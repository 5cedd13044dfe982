"""A process that keeps the right to open sockets, for one that has none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[4]
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a network namespace"),
]

CODE = """\
import json, os, signal, socket, subprocess, sys, threading, time
from pathlib import Path
from agents.base import privileges, users
from agents.sensor.capture.capture import Capture, InterfaceMissing
from agents.sensor.capture.nflog import NflogCapture
from agents.sensor.capture.opener import start_opener
from agents.sensor.capture.scapy_capture import ScapyCapture
from agents.settings.honeynet import Node
from datasets.captures.pcap import CaptureError

own = users.Users(1900000000) if sys.argv[1] == "own" else None
what = {"name": "gw1", "agents": ["sensor", "analyzer"], "interfaces": ["lo", "a0"], "nflog": [5],
        "capture_filter": "udp port 4002"}
opener = start_opener(Node.model_validate(what), own, Path("/nonexistent"))
other = start_opener(Node.model_validate(what | {"nflog": [], "interfaces": ["lo"]}), own,
                     Path("/nonexistent"))
children = [int(w) for w in open("/proc/self/task/%d/children" % os.getpid()).read().split()]
seen = {}
seen["held"] = []
for pid in children:
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("CapEff"):
            seen["held"].append(int(line.split()[1], 16))
PATH = os.environ["PATH"]
ip = lambda *w: subprocess.run(["ip", *w], check=True)
ip("link", "add", "a0", "type", "veth", "peer", "name", "a1")
ip("link", "set", "a0", "up")
pipe = subprocess.Popen(["sh", "-c", "read _; ip link del a0; read _;"
                         "ip link add a0 type veth peer name a1; ip link set a0 up; read _"],
                        stdin=subprocess.PIPE, text=True)
privileges.drop()

def send():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", 4002)); sock.sendto(b"x", ("127.0.0.1", 4003))

def packets(capture):
    send(); end = time.monotonic() + 10; count = 0
    while not count and time.monotonic() < end:
        count += len(capture.read(1.0))
    return count

def refused(do):
    try:
        do(); return "done"
    except (CaptureError, OSError) as e:
        return str(e)

seen["alone"] = refused(lambda: Capture("lo", "udp port 4002"))
with Capture("lo", "udp port 4002", open_=opener.packets) as capture:
    seen["ring"] = packets(capture)
with NflogCapture(5, opener.log_group) as capture:
    seen["group"] = 1
    seen["taken"] = refused(lambda: NflogCapture(5, opener.log_group))
seen["group again"] = refused(lambda: NflogCapture(5, opener.log_group).close())
seen["other group"] = refused(lambda: NflogCapture(6, opener.log_group))
with ScapyCapture("lo", "udp port 4002", opener.scapy) as capture:
    seen["scapy"] = packets(capture)
seen["other interface"] = refused(lambda: ScapyCapture("wan0", "", opener.scapy))
seen["not named"] = refused(lambda: other.log_group(5))
capture = Capture("a0", "", open_=opener.packets)
pipe.stdin.write("\\n"); pipe.stdin.flush()
try:
    while True:
        capture.read(1.0)
except InterfaceMissing:
    seen["gone"] = True
capture.close()
pipe.stdin.write("\\n"); pipe.stdin.flush()
end = time.monotonic() + 10
while (again := refused(lambda: Capture("a0", "", open_=opener.packets).close())) != "done":
    assert time.monotonic() < end, again
    time.sleep(0.05)
seen["back"] = again
ended = []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
seen["garbage"] = []
for junk in (b"{", b"[]", b'{"kind": "file", "path": "/etc/shadow"}',
             b'{"kind": "packets"}' + b" " * 5000, b'{"kind": "log group", "group": [5]}'):
    opener._channel.send(junk[:4000])
    data, fds, _, _ = socket.recv_fds(opener._channel, 4096, 3)
    seen["garbage"].append([json.loads(data), len(fds)])
    for fd in fds:
        os.close(fd)
other._channel.shutdown(socket.SHUT_RDWR)
seen["dead"] = refused(other.packets)
seen["ended"] = ended
print(json.dumps(seen))
"""


@pytest.mark.parametrize("whose", ["own", "same"])
def test_sockets_from_another_process(whose: str) -> None:
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh",
         sys.executable, "-c", CODE, whose],
        capture_output=True, text=True, timeout=120, check=False, cwd=ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    raw, admin = 1 << 13, 1 << 12
    assert seen.pop("held") == [raw | admin, raw]
    assert "needs CAP_NET_RAW" in seen.pop("alone")
    assert seen.pop("ring") == 1 and seen.pop("group") == 1 and seen.pop("scapy") == 1
    assert "another program reads this group" in seen.pop("taken")
    assert seen.pop("group again") == "done"
    for what in ("other group", "other interface", "not named"):
        assert "has no such source of packets" in seen.pop(what)
    assert seen.pop("gone") is True and seen.pop("back") == "done"
    answers = seen["garbage"]
    assert [descriptors for _, descriptors in answers] == [0, 0, 0, 1, 0]
    assert ["error" in answer for answer, _ in answers] == [True, True, True, False, True]
    assert "who opens sockets" in seen["dead"]
    assert seen["ended"] == [True]
