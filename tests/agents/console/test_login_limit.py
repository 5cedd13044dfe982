from __future__ import annotations

import pytest

from agents.console.login_limit import (
    FAILURES,
    MAX_REMEMBERED,
    MAX_WAITING,
    MAX_WAITING_EACH,
    WINDOW_US,
    LoginLimit,
)


def fail(limit: LoginLimit, address: str, name: str, now_us: int = 0) -> None:
    limit.begins(address, name, now_us)
    limit.ends(address, name, right=False)


def test_wrong_passwords_of_one_address_put_off_that_address_and_name() -> None:
    limit = LoginLimit()
    for _ in range(FAILURES):
        assert limit.wait_s("127.0.0.1", "operator", 0) == 0
        fail(limit, "127.0.0.1", "operator")
    assert limit.wait_s("127.0.0.1", "operator", 1) == 60
    assert limit.wait_s("127.0.0.1", "viewer", 1) == 0
    assert limit.wait_s("127.0.0.1", "operator", WINDOW_US) == 0


@pytest.mark.parametrize("addresses", [1, 40, 500])
def test_no_storm_locks_out_the_same_name_from_elsewhere(addresses: int) -> None:
    limit = LoginLimit()
    for number in range(addresses * 30):
        address = f"127.0.{number % addresses // 200}.{number % 200}"
        if not limit.wait_s(address, "operator", 0):
            fail(limit, address, "operator")
    assert limit.wait_s("127.9.9.9", "operator", 1) == 0


def test_many_names_of_one_address_share_a_limit() -> None:
    limit = LoginLimit()
    for number in range(4 * FAILURES):
        assert limit.wait_s("127.0.0.1", f"name{number}", 0) == 0
        fail(limit, "127.0.0.1", f"name{number}")
    assert limit.wait_s("127.0.0.1", "another", 0) == 60
    assert limit.wait_s("127.0.0.2", "another", 0) == 0


def test_the_right_password_clears_the_count() -> None:
    limit = LoginLimit()
    for _ in range(FAILURES - 1):
        fail(limit, "127.0.0.1", "operator")
    limit.begins("127.0.0.1", "operator", 0)
    limit.ends("127.0.0.1", "operator", right=True)
    assert limit.wait_s("127.0.0.1", "operator", 0) == 0


def test_tries_at_once_are_counted_as_well_and_few_wait() -> None:
    limit = LoginLimit()
    for _ in range(MAX_WAITING_EACH):
        assert limit.wait_s("127.0.0.1", "operator", 0) == 0
        limit.begins("127.0.0.1", "operator", 0)
    assert limit.wait_s("127.0.0.1", "operator", 0) == 1
    for number in range(MAX_WAITING - MAX_WAITING_EACH):
        limit.begins(f"127.1.0.{number}", "operator", 0)
    assert limit.wait_s("127.9.9.9", "operator", 0) == 1
    limit.ends("127.1.0.0", "operator", right=False)
    assert limit.wait_s("127.9.9.9", "operator", 0) == 0


def test_it_remembers_no_more_than_it_says() -> None:
    limit = LoginLimit()
    for number in range(MAX_REMEMBERED + 10):
        fail(limit, f"{number}", "operator")
    assert len(limit._failures) == MAX_REMEMBERED
    assert not limit._waiting
