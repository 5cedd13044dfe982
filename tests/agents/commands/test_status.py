import fcntl
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from agents.clock import now_us
from agents.main import main
from agents.settings.honeynet import Settings


def run_file(
    settings: Settings,
    *,
    connected: bool = True,
    agent: dict[str, Any] | None = None,
    node: dict[str, Any] | None = None,
    **health: Any,
) -> None:
    """As the launcher writes it, of a node with one sensor."""
    sensor = {
        "role": "sensor",
        "jid": settings.jid("sensor", "gw2"),
        "pid": 7,
        "state": "running",
        "restarts": 0,
        "last_code": None,
        "connected": connected,
        "health": {"registered": True, "counters": {}, "rss_kib": 2048} | health,
    } | (agent or {})
    whole = {"node": "gw2", "pid": 6, "updated_us": now_us(), "xmpp": None, "agents": [sensor]}
    folder = settings.state_dir / "run"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gw2.json").write_text(json.dumps(whole | (node or {})))


@pytest.fixture(autouse=True)
def launcher(bare_honeynet: Settings) -> Iterator[TextIO]:
    """Holds the node's lock, as a launcher does as long as it lives; closed, it is dead."""
    folder = bare_honeynet.state_dir / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "gw2.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def test_all_good(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file(bare_honeynet)
    assert main(["status", str(honeynet_file)]) == 0
    assert "sensor       running   connected" in capsys.readouterr().out


def test_an_agent_that_nobody_listens_to_is_not_good(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As when the hosts' clocks differ by a minute."""
    run_file(bare_honeynet, registered=False, counters={"refused_stale": 3, "sent": 9})
    assert main(["status", str(honeynet_file)]) == 3
    said = capsys.readouterr().out
    assert "NOT REGISTERED" in said
    assert "messages refused: 3 stale (do the hosts' clocks differ?)" in said


def test_without_the_server_it_tells_what_still_works(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    health = {"server_error": "[Errno 111]", "local": 2, "local_peers": 2}
    run_file(bare_honeynet, connected=False, **health)
    assert main(["status", str(honeynet_file)]) == 3
    said = capsys.readouterr().out
    assert "sensor       running   LOCAL ONLY     node 2/2" in said
    assert "XMPP server: [Errno 111]" in said
    run_file(bare_honeynet, connected=False, **health | {"local": 0})
    assert main(["status", str(honeynet_file)]) == 3
    assert "NOT CONNECTED  node 0/2" in capsys.readouterr().out


def test_what_a_full_disk_leaves_is_no_run_file(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file(bare_honeynet)
    (bare_honeynet.state_dir / "run" / "gw2.json.new").write_text("")
    assert main(["status", str(honeynet_file)]) == 0
    (bare_honeynet.state_dir / "run" / "gw2.json").write_text("")
    assert main(["status", str(honeynet_file)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "gw2.json: not a run file" in said


def condition(level: str, reason: str, **numbers: int) -> dict[str, Any]:
    return {"name": "a", "level": level, "reason": reason, "since_us": 1, "numbers": numbers}


def test_an_agent_that_does_not_do_its_work_is_not_good(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = [condition("degraded", "captures nothing: no interface wan0")]
    run_file(bare_honeynet, agent={"state": "degraded"}, conditions=held)
    assert main(["status", str(honeynet_file)]) == 3
    said = capsys.readouterr().out
    assert "sensor       degraded  connected" in said
    assert "\n    degraded: captures nothing: no interface wan0\n" in said


def test_a_small_loss_is_told_with_its_numbers_and_no_more(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file(bare_honeynet, conditions=[condition("warning", "wan0: packets lost", lost=12345)])
    assert main(["status", str(honeynet_file)]) == 0
    assert "    warning: wan0: packets lost (12,345 lost)" in capsys.readouterr().out


def test_an_agent_that_keeps_ending_says_why(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dead = {"state": "waiting", "restarts": 3, "last_code": 1, "last_words": "disk full"}
    run_file(bare_honeynet, connected=False, agent=dead)
    assert main(["status", str(honeynet_file)]) == 3
    assert "    ended: disk full" in capsys.readouterr().out


def test_a_dead_launcher_is_told_from_one_that_hangs(
    bare_honeynet: Settings,
    honeynet_file: Path,
    launcher: TextIO,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the file says, and whatever the clock says of its age."""
    monkeypatch.setattr("agents.launcher.node_state.ANSWER_S", 0.2)
    run_file(bare_honeynet)  # written a moment ago
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(bare_honeynet.state_dir / "run" / "gw2.sock"))
        hung.listen()
        assert main(["status", str(honeynet_file)]) == 3
    assert "the launcher (pid 6) does not answer: it hangs" in capsys.readouterr().out
    launcher.close()
    for age_us in (0, 7_000_000, -3_600_000_000):
        run_file(bare_honeynet, node={"updated_us": now_us() - age_us})
        assert main(["status", str(honeynet_file)]) == 3
        said = capsys.readouterr().out
        assert "the launcher (pid 6) is dead since" in said
        assert "sensor       unknown   NOT CONNECTED" in said


def test_a_launcher_that_can_not_write_says_so(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_file(bare_honeynet, node={"trouble": "/state/run: No space left on device"})
    assert main(["status", str(honeynet_file)]) == 3
    assert "    /state/run: No space left on device" in capsys.readouterr().out


def test_a_clock_that_was_set_is_told_by_the_launcher_where_no_agent_saw_it(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "the clock of this host was set back by 3,600.0 s"
    run_file(bare_honeynet, node={"clock": said})
    assert main(["status", str(honeynet_file)]) == 0
    assert f"    warning: {said}\n" in capsys.readouterr().out
    run_file(bare_honeynet, node={"clock": ""})
    assert main(["status", str(honeynet_file)]) == 0
    assert "warning" not in capsys.readouterr().out
