"""sshd and PAM in auth.log and the journal: refusals counted once, against who made them."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest

from agents.analyzer.core import AnalyzerCore, load_model
from agents.sensor.inputs.events import Options
from agents.sensor.inputs.logins_log import MAX_PROCESSES, program_of
from agents.sensor.inputs.registry import make_parser

HEAD = "Nov 16 12:11:24 gw sshd[77]: "


def refusals(parse: Any, *messages: str, head: str = HEAD, **options: Any) -> dict[str, int]:
    """Failed logins by source."""
    seen = parse("syslog", *(head + message for message in messages), **options)
    out: dict[str, int] = {}
    for row in seen.rows:
        address = ip_address(row["src"].tobytes())
        name = str(address.ipv4_mapped or address)  # type: ignore[union-attr]
        out[name] = out.get(name, 0) + int(row["failed_logins"])
    return {name: n for name, n in out.items() if n}


@pytest.mark.parametrize(
    "head",
    [
        HEAD,
        "Nov 16 12:11:24 gw sshd-session[77]: ",  # OpenSSH 9.8
        "2026-11-16T12:11:24.123456+01:00 gw sshd[77]: ",
        "<38>Nov 16 12:11:24 gw sshd[77]: ",
        "<38>1 2026-11-16T12:11:24Z gw sshd 77 - - ",
        '<38>1 2026-11-16T12:11:24Z gw sshd 77 - [meta sequenceId="1"] ',
        "Nov 16 12:11:24 [sshd]: ",
        "Mon Nov 16 12:11:24 2026 authpriv.info sshd[77]: ",
        "Nov 16 12:11:24 gw sshd[77]: [ID 800047 auth.info] ",
    ],
)
def test_whoever_writes_the_line(parse: Any, head: str) -> None:
    message = "Failed password for root from 192.0.2.66 port 40000 ssh2"
    assert refusals(parse, message, head=head) == {"192.0.2.66": 1}


@pytest.mark.parametrize(
    ("messages", "count"),
    [
        (["Failed password for invalid user x from 192.0.2.66 port 4 ssh2"], 1),
        (["Failed keyboard-interactive/pam for root from 192.0.2.66 port 4 ssh2"], 1),
        (["Failed password for root from 192.0.2.66"], 1),
        (["Invalid user x from 192.0.2.66 port 4"], 1),
        (["Invalid user  from 192.0.2.66 port 4"], 1),
        (["User root from 192.0.2.66 not allowed because not listed in AllowUsers"], 1),
        (["error: PAM: Authentication failure for root from 192.0.2.66"], 1),
        (["error: PAM: Authentication error for root from 192.0.2.66 via 198.51.100.1"], 1),
        # Announced, then refused: one guess; a second password of the same connection: two.
        (
            [
                "Invalid user x from 192.0.2.66 port 4",
                "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= "
                "rhost=192.0.2.66 ",
                "Failed password for invalid user x from 192.0.2.66 port 4 ssh2",
                "Failed password for invalid user x from 192.0.2.66 port 4 ssh2",
            ],
            2,
        ),
        (
            ["message repeated 5 times: [ Failed password for root from 192.0.2.66 port 4 ssh2]"],
            5,
        ),
        (["Failed publickey for invalid user x from 192.0.2.66 port 4 ssh2: RSA SHA256:ab"], 1),
        # Keys that don't fit and questions for methods are ordinary.
        (["Failed publickey for git from 192.0.2.66 port 4 ssh2: RSA SHA256:ab"], 0),
        (["Failed none for root from 192.0.2.66 port 4 ssh2"], 0),
        (["Accepted password for root from 192.0.2.66 port 4 ssh2"], 0),
        (["Connection closed by authenticating user root 192.0.2.66 port 4 [preauth]"], 0),
    ],
)
def test_what_counts_as_a_guess(parse: Any, messages: list[str], count: int) -> None:
    assert refusals(parse, *messages) == ({"192.0.2.66": count} if count else {})


FORGED = "203.0.113.9"


@pytest.mark.parametrize(
    "message",
    [
        f"Failed password for invalid user x from {FORGED} from 192.0.2.66 port 4 ssh2",
        f"Failed password for invalid user x from {FORGED} port 2 ssh2 from 192.0.2.66 port 4 ssh2",
        f"Failed password for invalid user x from 192.0.2.66 port 4 ssh2: from {FORGED} port 5",
        f"Failed password for user from 192.0.2.66 port 4 ssh1: ruser from {FORGED}",
        f"Invalid user x from {FORGED} port 22 from 192.0.2.66 port 4",
        f"User x from {FORGED} not allowed because  from 192.0.2.66 not allowed because not listed",
        f"error: PAM: Authentication failure for x from {FORGED} via y from 192.0.2.66",
        f"Bad protocol version identification 'GET / from {FORGED} port 4' from 192.0.2.66 port 5",
    ],
)
def test_a_name_is_never_an_address(parse: Any, message: str) -> None:
    assert FORGED not in refusals(parse, message)
    seen = parse("syslog", HEAD + message)
    assert all(row["src"].tobytes()[12:] == bytes([192, 0, 2, 66]) for row in seen.rows)


@pytest.mark.parametrize(
    "line",
    [
        "Nov 16 12:11:24 gw postfix/smtpd[9]: x sshd[1]: Failed password for root from {} port 4",
        "Nov 16 12:11:24 gw app: sshd[1]: Failed password for root from {} port 4 ssh2",
        "Nov 16 12:11:24 gw app: y: sshd: Failed password for root from {} port 4 ssh2",
        "<38>1 2026-11-16T12:11:24Z gw app 77 - - sshd[1]: Failed password for root from {} port 4",
        "Nov 16 12:11:24 gw sshd[1]: Invalid user IN= SRC={} DST=198.51.100.1 PROTO=TCP SYN from x",
        "<38>1 2026-11-16T12:11:24Z gw sshd 7 - - Invalid user IN= SRC={} DST=192.0.2.1 PROTO=TCP",
    ],
)
def test_another_programs_line_is_not_sshds(parse: Any, line: str) -> None:
    assert len(parse("syslog", line.format(FORGED)).rows) == 0


def test_pam_of_services_that_say_nothing_themselves(parse: Any) -> None:
    line = (
        "Nov 16 12:11:24 gw vsftpd[7]: pam_unix(vsftpd:auth): authentication failure; logname= "
        "uid=0 euid=0 tty=ftp ruser=x rhost=192.0.2.66  user=root"
    )
    (row,) = parse("syslog", line).rows
    assert (row["dst_port"], row["failed_logins"], row["indicators"]) == (21, 1, 0)
    forged = line.replace("ruser=x", f"ruser=x rhost={FORGED}")
    assert parse("syslog", forged).counters["refused.ambiguous"] == 1
    for local in ("sudo", "su", "login"):
        other = line.replace("vsftpd", local).replace("rhost=192.0.2.66", "rhost=")
        assert len(parse("syslog", other).rows) == 0


def test_against_whom(parse: Any) -> None:
    message = HEAD + "Failed password for root from 192.0.2.66 port 4 ssh2"

    def target(*before: str, **options: Any) -> tuple[str, int]:
        row = parse("syslog", *before, message, **options).rows[-1]
        return str(ip_address(row["dst"].tobytes()[12:])), int(row["dst_port"])

    verbose = HEAD + 'Connection from 192.0.2.5 port 9 on 198.51.100.7 port 2200 rdomain ""'
    assert target() == ("0.0.0.0", 22)  # noqa: S104 (this host)
    assert target(own=(ip_address("198.51.100.1"),)) == ("198.51.100.1", 22)
    assert target(verbose, own=(ip_address("198.51.100.1"),)) == ("198.51.100.7", 2200)
    assert target(address=ip_address("198.51.100.18")) == ("198.51.100.18", 22)
    assert target(HEAD + "Server listening on 0.0.0.0 port 2222.")[1] == 2222


def test_a_journal_is_read_as_a_log_is(parse: Any) -> None:
    entry = {
        "MESSAGE": "Failed password for root from 2001:db8::66 port 4 ssh2",
        "SYSLOG_IDENTIFIER": "sshd-session",
        "_PID": "77",
        "__REALTIME_TIMESTAMP": "1794000000000001",
    }
    (row,) = parse("syslog", json.dumps(entry)).rows
    assert (row["start_us"], row["ip_version"], row["failed_logins"]) == (1794000000000001, 6, 1)


def test_guessing_is_found_by_the_analyzer(parse: Any) -> None:
    lines = [
        f"Nov 16 12:11:{n:02} gw sshd-session[{n}]: Failed password for root from 192.0.2.66 port "
        f"{40000 + n} ssh2"
        for n in range(30)
    ]
    core = AnalyzerCore(load_model(), analyzer="analyzer")
    alerts = [a for b in parse("syslog", *lines).batches for a in core.on_batch(b)]
    found = [a for a in alerts if a.classification == "SshBruteForce"]
    assert found and found[0].verified_source and str(found[0].source) == "192.0.2.66"


def test_memory_is_bounded_and_comes_back() -> None:
    parser = make_parser("syslog", Options())
    parser.now_us = 1_795_000_000_000_000
    for number in range(MAX_PROCESSES * 3):
        address = f"2001:db8:aaaa:bbbb:cccc:dddd:eeee:{number:x}"
        list(parser.on_line(f"{HEAD}Invalid user x from {address} port 40000".encode()))
    assert len(parser.memory()) < 65_536
    other = make_parser("syslog", Options())
    other.remember(parser.memory())
    assert other.memory() == parser.memory()
    other.now_us = parser.now_us
    line = f"{HEAD}Failed password for invalid user x from {address} port 40000 ssh2".encode()
    assert list(other.on_line(line)) == []  # counted already, before the restart


def test_programs() -> None:
    assert program_of("Nov 16 12:11:24 gw sshd[7]: x", 99) == ("sshd", 28)
    assert program_of("[12.5] prefix: IN=", 15) == (None, 0)
    assert program_of("Nov 16 12:11:24 gw kernel: [1.0] x: IN=", 99)[0] == "kernel"
