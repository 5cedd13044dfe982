"""Whom a host can't do without: from files as resolvers and systemd-logind write them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.base import host_peers
from agents.base.host_peers import HostPeers, NameLookups, read_host_peers
from agents.base.kernel_addresses import from_listings
from agents.base.protected import Protected

SESSION = """# This is private data. Do not parse.
UID=1000
USER=ana
ACTIVE=1
STATE={state}
REMOTE=1
TYPE=tty
CLASS={kind}
REMOTE_HOST={host}
SERVICE=sshd
"""


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    folder = tmp_path / "sessions"
    folder.mkdir()
    return folder


def texts(addresses: object) -> list[str]:
    return sorted(map(str, addresses))  # type: ignore[call-overload]


def test_name_servers_are_read_in_all_files_and_forms(tmp_path: Path, sessions: Path) -> None:
    stub, upstream = tmp_path / "stub", tmp_path / "upstream"
    stub.write_text("# nameserver 192.0.2.1\nnameserver 127.0.0.53\noptions edns0\nsearch x.org\n")
    upstream.write_text(
        "nameserver 192.0.2.53\n  nameserver\t2001:db8::53\nnameserver fe80::1%eth0\n"
        "nameserver ::ffff:192.0.2.54\nnameserver resolver.example\nnameserver\n"
    )
    found = read_host_peers(resolver_files=(stub, upstream, tmp_path / "none"), sessions=sessions)
    assert texts(found.name_servers) == ["192.0.2.53", "192.0.2.54", "2001:db8::53"]
    assert not found.logins and not found.message_servers


def test_who_is_logged_in_from_afar(sessions: Path) -> None:
    for name, host, state, kind in (
        ("1", "203.0.113.9", "active", "user"),
        ("c2", "2001:db8:7::9", "online", "user-early"),
        ("3", "203.0.113.10", "closing", "user"),
        ("4", "203.0.113.11", "active", "greeter"),
        ("5", "", "active", "user"),
        ("6", "desk.example", "active", "user"),
    ):
        (sessions / name).write_text(SESSION.format(host=host, state=state, kind=kind))
    (sessions / "7").write_bytes(b"\xff\x00REMOTE_HOST=\n=\n")
    (sessions / "1.ref").write_text("REMOTE_HOST=203.0.113.12\n")
    found = read_host_peers(resolver_files=(), sessions=sessions)
    assert texts(found.logins) == ["2001:db8:7::9", "203.0.113.9"]
    # The session ends: nothing keeps the address any longer.
    (sessions / "1").unlink()
    found = read_host_peers(resolver_files=(), sessions=sessions)
    assert texts(found.logins) == ["2001:db8:7::9"]


def test_very_many_sessions_are_read_within_bounds(
    sessions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_peers, "MAX_SESSIONS", 20)
    for number in range(25):
        (sessions / f"{number:05}").write_text(f"REMOTE_HOST=10.0.0.{number}\n")
    found = read_host_peers(resolver_files=(), sessions=sessions)
    assert len(found.logins) == 20


def test_the_xmpp_servers_name_is_looked_up() -> None:
    def servers(name: str) -> list[str]:
        return texts(NameLookups(name).message_servers())

    assert servers("192.0.2.250") == ["192.0.2.250"]
    assert servers("localhost") == []  # no host's address: nobody may block it anyway
    assert servers("x" * 64 + ".example") == []  # no name can be so long: nobody is asked
    assert servers("") == []


def test_without_an_answer_the_last_one_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[str, list[str] | OSError] = {}

    def getaddrinfo(name: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        answer = answers[name]
        if isinstance(answer, OSError):
            raise answer
        return [(0, 0, 0, "", (address, 0)) for address in answer]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    names = NameLookups(allowed=("a.example", "b.example"))
    answers |= {"a.example": ["203.0.113.9", "2001:db8::9"], "b.example": ["203.0.113.10"]}
    assert texts(names.allowed()) == ["2001:db8::9", "203.0.113.10", "203.0.113.9"]
    assert not names.failed
    answers["a.example"] = socket.gaierror(socket.EAI_AGAIN, "Temporary failure")
    answers["b.example"] = ["203.0.113.11"]
    assert texts(names.allowed()) == ["2001:db8::9", "203.0.113.11", "203.0.113.9"]
    assert names.failed == {"a.example": "Temporary failure"}
    # That the name is gone is an answer.
    answers["a.example"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert texts(names.allowed()) == ["203.0.113.11"]
    assert names.failed == {"a.example": "Name or service not known"}
    answers["a.example"] = ["203.0.113.12"]
    assert texts(names.allowed()) == ["203.0.113.11", "203.0.113.12"] and not names.failed


def test_they_are_never_blocked_and_it_is_said_why() -> None:
    peers = HostPeers(
        frozenset({ip_address("192.0.2.53")}),
        frozenset({ip_address("192.0.2.250")}),
        frozenset({ip_address("203.0.113.9")}),
        frozenset({ip_address("198.51.100.7")}),
    )
    kernel = from_listings("gw1", [], [], peers)
    assert kernel.id != from_listings("gw1", [], []).id
    judge = Protected().with_kernel(kernel)
    for address, words in (
        ("192.0.2.53", "192.0.2.53 is a name server of gateway gw1"),
        ("192.0.2.250", "192.0.2.250 is the address of the XMPP server"),
        ("203.0.113.9", "203.0.113.9 is where somebody is logged in from on gateway gw1"),
        ("198.51.100.7", "198.51.100.7 is on the allow-list, by a host name that gateway gw1"
         " resolves"),
        ("64:ff9b::203.0.113.9", "64:ff9b::cb00:7109 is the NAT64 form of 203.0.113.9, which is"
         " where somebody is logged in from on gateway gw1"),
    ):  # fmt: skip
        assert judge.refusal(ip_address(address)) == words
    found = judge.judge(ip_address("198.51.100.7"))
    assert found is not None and found.rule == "allow-list"
    # The session has ended.
    judge = judge.with_kernel(from_listings("gw1", [], []))
    assert judge.refusal(ip_address("203.0.113.9")) is None


@pytest.mark.root
def test_a_confined_gateway_can_still_look(tmp_path: Path) -> None:
    """The reaction agent is nobody in particular, behind Landlock, when it asks."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    script = """
import sys
from pathlib import Path
from agents.base import confinement
from agents.base import host_peers
from agents.base.host_peers import FOLDERS, read_host_peers
from ontology import landlock
from ontology.landlock import READ, Allowed

state = Path(sys.argv[1])
paths = (*landlock.program(state, executes=True), *((f, READ) for f in FOLDERS if f.is_dir()))
confinement.give_up(Allowed(paths, connect=()), state=state, as_whom=(65534, 65534),
                    capabilities=(), families=(), executes=True)
print(*sorted(map(str, read_host_peers().name_servers)))
for folder in FOLDERS:
    assert not folder.is_dir() or list(folder.iterdir()) is not None
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == texts(read_host_peers().name_servers)
