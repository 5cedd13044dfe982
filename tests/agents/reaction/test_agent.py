"""The reaction agent as a process, over a real XMPP server, on a real kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.laboratory.network import run_in_sandbox, why_unavailable

SCRIPT = Path(__file__).with_name("lab_scripts") / "over_xmpp.py"


@pytest.mark.root
@pytest.mark.xmpp
@pytest.mark.e2e
def test_orders_reports_restart_and_refusals(tmp_path: Path) -> None:
    if reason := why_unavailable():
        pytest.skip(reason)
    if shutil.which("prosody", path="/usr/bin:/usr/sbin") is None:
        pytest.skip("prosody is not installed (apt-get install prosody)")
    with run_in_sandbox(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert result, err

    assert result["block"] == [["agree", ""], ["inform", "active"], ["inform", "active"]]
    assert sorted(map(tuple, result["mixed"])) == [
        ("agree", ""),
        ("inform", "active"),
        ("refuse", "refused"),
        ("refuse", "refused"),
    ]
    assert result["refused"] == [["refuse", "refused"]]
    assert result["lift"] == [["agree", ""], ["inform", "lifted"]]
    assert result["short"] == [["agree", ""], ["inform", "active"]]
    assert result["expired"] == ["203.0.113.9"]
    assert result["elements"] == ["192.0.2.66"]
    assert result["mended_s"] < 5

    # The correlation agent of the node orders as well; the supervisor's lift ends it all.
    alone = result["alone"]
    assert alone["block"] == alone["kept"] == [["agree", ""], ["inform", "active"]]
    assert alone["withdrawn"] == [["agree", ""], ["inform", "active"]], "for the supervisor, still"
    assert alone["blocked"] is True
    assert alone["lift"] == [["agree", ""], ["inform", "lifted"]]
    assert alone["vetoed"] == [["agree", ""], ["failure", "failed"]]
    assert alone["elements"] == ["192.0.2.66"]
    assert isinstance(result["own"], list)
    assert "policy.allow_hosts can't be looked up: no-such-host.invalid (" in result["conditions"]

    # Neither SIGKILL nor a clean stop opens the door; a restart tells what is in force.
    assert result["after_kill"] == result["after_stop"] == ["192.0.2.66"]
    assert result["reported_again"] == ["192.0.2.66"]
    assert result["digests_alike"] and result["digests_right"]
    assert result["exit"] == 0

    assert result["bare_exit"] == 1
    *others, line = result["bare_lines"]
    assert "CAP_NET_ADMIN" in line
    # Without any right it can't reach other agents' sockets either: said once of each.
    assert len(others) <= 2 and all("messages.sock: Permission denied" in said for said in others)
