"""A whole node in a namespace of its own, to which one thing after another happens: `status` and
the page say which, soon and with the reason, and that it is over."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.laboratory.network import run_in_sandbox, why_unavailable

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.root,
    pytest.mark.xmpp,
    pytest.mark.slow,
    pytest.mark.timeout(700),
]

SCRIPT = Path(__file__).parent / "lab_scripts" / "states.py"
TOLD_S = 5.0
"""Of a machine that has nothing else to do."""
WORDS = {
    "log missing": "degraded: log cowrie: no file ",
    "log of another kind": "degraded: log cowrie: no line of ",
    "renamed": "degraded: captures nothing: no interface wan0",
    "deleted": "degraded: captures nothing: no interface wan0",
    "down": "degraded: captures nothing: interface wan0 is down",
    "firewall": "degraded: nobody knows what the kernel drops: ",
    "full": "No space left on device",
}


def test_status_and_page_say_what_does_not_work_and_when_it_works_again(tmp_path: Path) -> None:
    if reason := why_unavailable():
        pytest.skip(reason)
    with run_in_sandbox(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        said, errors = process.communicate(timeout=690)
    assert process.returncode == 0, errors
    seen = json.loads(said)
    log = "\n".join(seen.pop("log"))
    # It is up again before anybody can ask.
    assert seen["reasoner"]["told_s"] <= TOLD_S and seen["reasoner"]["over_s"] is not None
    for name, words in WORDS.items():
        found = seen[name]
        assert words in found["said"], (name, found, log)
        assert found["code"] == 3, (name, found)
        assert found["over_s"] is not None, (name, found, log)
        if name != "log missing":  # the start of the node is part of it
            assert found["told_s"] <= TOLD_S, (name, found)
    for name in ("renamed", "deleted", "down"):
        assert seen[name]["captures"], (name, log)
        assert seen[name]["page_s"] <= TOLD_S, seen[name]
    firewall = seen["firewall"]
    assert None not in [firewall[name] for name in ("active_s", "unknown_s", "again_s")], firewall
    assert firewall["dropped"] and seen["flushed"]["dropped"]
    # Put back within a second: news, but nothing that doesn't work.
    assert "warning: our nftables rules were changed by somebody else" in seen["flushed"]["said"]
    assert "does not answer: it hangs" in seen["launcher"]["hung"]["said"]
    assert "is dead since" in seen["launcher"]["dead"]["said"]
    assert seen["launcher"]["hung"]["code"] == seen["launcher"]["dead"]["code"] == 3
