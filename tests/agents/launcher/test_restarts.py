from agents.launcher.restarts import HEALTHY_AFTER_S, LONGEST_DELAY_S, RestartPolicy


def test_delay_doubles_to_a_limit() -> None:
    policy = RestartPolicy()
    delays = []
    for _ in range(9):
        policy.on_start(0.0)
        delays.append(policy.delay_after_exit(1.0))
    assert delays[:4] == [0.5, 1.0, 2.0, 4.0]
    assert delays[-1] == LONGEST_DELAY_S


def test_a_long_life_is_forgiven() -> None:
    policy = RestartPolicy(failures=10)
    policy.on_start(0.0)
    assert policy.delay_after_exit(HEALTHY_AFTER_S) == 0.5
