import json
from pathlib import Path
from typing import Any

import pytest

from agents.clock import now_us
from agents.main import main
from agents.settings.honeynet import Settings


def run_file(settings: Settings, *, connected: bool = True, **health: Any) -> None:
    """As the launcher writes it, of a node with one sensor."""
    agent = {
        "role": "sensor",
        "jid": settings.jid("sensor", "gw2"),
        "pid": 7,
        "state": "running",
        "restarts": 0,
        "last_code": None,
        "connected": connected,
        "health": {"registered": True, "counters": {}, "rss_kib": 2048} | health,
    }
    node = {"node": "gw2", "pid": 6, "updated_us": now_us(), "xmpp": None, "agents": [agent]}
    folder = settings.state_dir / "run"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gw2.json").write_text(json.dumps(node))


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
