"""Workers keep no network, no file but those named, no program: shown by one that tries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ontology import landlock

CODE = """\
import json, os, socket, subprocess, sys
from pathlib import Path
from ontology.confined_worker import confine_worker
read, write, tries = json.loads(sys.argv[1])
data = socket.socketpair()
confine_worker(read=map(Path, read), write=map(Path, write))
became = []
for what, path in tries:
    try:
        match what:
            case "read":
                Path(path).read_bytes()
            case "open":
                open(path, "rb").close()
            case "write":
                Path(path).write_bytes(b"x")
            case "import":
                __import__(path)
            case "connect":
                socket.create_connection(("127.0.0.1", 1))
            case "unix":
                socket.socket(socket.AF_UNIX)
            case "send":
                data[0].sendmsg([b"x"])
            case "execute":
                subprocess.run([path])
        became.append("done")
    except OSError as e:
        became.append(e.strerror)
print(json.dumps(became))
"""
DENIED, FORBIDDEN = "Permission denied", "Operation not permitted"


@pytest.mark.skipif(not landlock.supported(), reason="the kernel has no Landlock")
def test_a_worker_keeps_what_it_was_given(tmp_path: Path) -> None:
    for name in ("state", "given", "scratch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    tries = [
        ("read", tmp_path / "given" / "file"),
        ("write", tmp_path / "scratch" / "new"),
        ("import", "wsgiref.handlers"),
        ("import", "rules.reactions.reaction_rules"),
        # Java's own chance: without both it counts the steps of busy threads, for 8 s.
        ("open", "/dev/random"),
        ("open", "/dev/urandom"),
        ("read", tmp_path / "state" / "file"),
        ("write", tmp_path / "state" / "file"),
        ("write", tmp_path / "given" / "file"),
        ("read", "/etc/shadow"),
        ("write", "/tmp/ontoidps-hostile"),  # noqa: S108  it can't
        ("connect", ""),
        ("unix", ""),
        ("send", ""),
        ("execute", "/usr/bin/true"),
    ]
    given = [[tmp_path / "given"], [tmp_path / "scratch"], tries]
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(given, default=str)],
        capture_output=True, text=True, timeout=60, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["done"] * 6 + [DENIED] * 5 + [FORBIDDEN] * 4
