"""Capabilities and users, given up in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from agents.base.privileges import NET_ADMIN, NET_RAW

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has nothing to give up")

CODE = """\
import json, os, subprocess, sys, threading
from agents.base import privileges
kept, user = json.loads(sys.argv[1])
if user is None:
    privileges.drop(kept)
else:
    privileges.drop(kept, user=user, groups=[user, 4])

def status(text):
    found = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    words = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
    return {word: int(found[word], 16) for word in words} | {
        "Uid": found["Uid"].split(), "Gid": found["Gid"].split(), "Groups": found["Groups"].split()
    }

seen = {"own": status(open("/proc/self/status").read())}
threads = []
thread = threading.Thread(target=lambda: threads.append(open("/proc/thread-self/status").read()))
thread.start(); thread.join()
seen["thread"] = status(threads[0])
done = subprocess.run(["/usr/bin/cat", "/proc/self/status"], capture_output=True, text=True)
seen["child"] = status(done.stdout)
seen["held"] = privileges.held()
for what, do in (("setuid", lambda: os.setuid(0)), ("again", lambda: privileges.drop({12, 13}))):
    try:
        do(); seen[what] = "done"
    except OSError as e:
        seen[what] = e.strerror
seen["again held"] = privileges.held()
print(json.dumps(seen))
"""


@pytest.mark.parametrize("user", [None, 1_900_000_001])
@pytest.mark.parametrize("kept", [(), (NET_RAW,), (NET_ADMIN, NET_RAW)])
def test_what_is_kept_and_nothing_else_also_in_threads_and_programs(
    kept: tuple[int, ...], user: int | None
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps([kept, user])],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    mask = sum(1 << number for number in kept)
    for who in ("own", "thread", "child"):
        found = seen[who]
        assert {name: found[name] for name in found if name.startswith("Cap")} == dict.fromkeys(
            ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"), mask
        ), who
        assert found["NoNewPrivs"] == 1
        if user is not None:
            assert found["Uid"] == [str(user)] * 4 and found["Gid"] == [str(user)] * 4
            assert found["Groups"] == ["4"]
    assert seen["held"] == mask and seen["again held"] == mask
    assert seen["setuid"] == ("done" if user is None else "Operation not permitted")
