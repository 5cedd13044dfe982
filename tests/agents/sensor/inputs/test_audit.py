"""The audit log as auditd, audispd, the kernel and journald write it."""

from __future__ import annotations

import json
import random
from ipaddress import ip_address
from typing import Any

import pytest

from agents.sensor.inputs.audit import MAX_PENDING, MAX_SESSIONS, AuditParser
from agents.sensor.inputs.events import Options
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.registry import make_parser
from ontology.records import HostEvent

HOST = "198.51.100.18"
NOW_US = 1_795_000_000_000_000
AT = 1_764_450_000


def at(second: float, number: int) -> str:
    return f"audit({AT + second:.3f}:{number})"


def login(number: int = 11, session: int = 5, address: str = "192.0.2.66") -> str:
    return (
        f"type=USER_START msg={at(0.1, number)}: pid=900 uid=0 auid=0 ses={session} "
        f'msg=\'op=PAM:session_open grantors=pam_unix acct="root" exe="/usr/sbin/sshd" '
        f'hostname={address} addr={address} terminal=ssh res=success\'\x1dUID="root" AUID="root"'
    )


def call(second: float, number: int, syscall: int, *, pid: int = 902, **changes: str) -> str:
    fields = {
        "arch": "c000003e",
        "success": "yes",
        "exit": "0",
        "ses": "5",
        "auid": "0",
        "exe": '"/usr/bin/wget"',
        "more": "",
    } | changes
    return (
        f"type=SYSCALL msg={at(second, number)}: arch={fields['arch']} syscall={syscall} "
        f"success={fields['success']} exit={fields['exit']} a0=1 a1=2 a2=3 a3=4 items=2 ppid=901 "
        f"pid={pid} auid={fields['auid']} uid=0 gid=0 euid=33 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 "
        f'tty=pts1 ses={fields["ses"]} comm="wget" exe={fields["exe"]} key="x"{fields["more"]}'
    )


def execution(number: int = 20, second: float = 1.0, **changes: str) -> list[str]:
    return [
        call(second, number, 59, **changes),
        f'type=EXECVE msg={at(second, number)}: argc=3 a0="wget" a1="-q" '
        f"a2={b'http://x/a b'.hex().upper()}",
        f'type=CWD msg={at(second, number)}: cwd="/srv"',
        f'type=PATH msg={at(second, number)}: item=0 name="/usr/bin/wget" inode=1 dev=fd:00 '
        "mode=0100755 ouid=0 ogid=0 rdev=00:00 nametype=NORMAL",
        f"type=PROCTITLE msg={at(second, number)}: proctitle={b'wget'.hex().upper()}",
    ]


def connection(number: int = 30, saddr: str = "02000050CB0071090000000000000000") -> list[str]:
    return [
        call(1.5, number, 42, success="no", exit="-115"),
        f"type=SOCKADDR msg={at(1.5, number)}: saddr={saddr}",
        f"type=PROCTITLE msg={at(1.5, number)}: proctitle={b'wget -q'.hex().upper()}",
    ]


def creation(name: str = '"a"', mode: str = "0100644", nametype: str = "nametype") -> list[str]:
    return [
        call(1.6, 40, 257),
        f'type=CWD msg={at(1.6, 40)}:  cwd="/srv"',
        f'type=PATH msg={at(1.6, 40)}: item=0 name="/srv" inode=1 mode=041777 {nametype}=PARENT',
        f"type=PATH msg={at(1.6, 40)}: item=1 name={name} inode=2 mode={mode} {nametype}=CREATE",
        f"type=PROCTITLE msg={at(1.6, 40)}: proctitle=77676574",
    ]


def events(*lines: str | bytes, parser: Any = None, **options: Any) -> list[HostEvent]:
    options.setdefault("address", ip_address(HOST))
    intake = Intake(parser or make_parser("audit", Options(**options)), sensor="sensor")
    raw = [line.encode() if isinstance(line, str) else line for line in lines]
    found = intake.on_lines(raw, "mark", NOW_US)
    assert not intake.counters["refused"], intake.examples
    assert all(isinstance(record, HostEvent) for record in found)
    return [record for record in found if isinstance(record, HostEvent)]


def test_a_program_is_started_in_a_session_from_afar() -> None:
    begun, run = events(login(), *execution())
    assert (begun.event_kind, begun.user_name, begun.session_name) == ("login", "root", "5")
    assert begun.source == ip_address("192.0.2.66")
    assert run.event_kind == "execution"
    assert (run.process_id, run.parent_process_id) == (902, 901)
    assert (run.user_name, run.login_name, run.program) == ("33", "0", "/usr/bin/wget")
    assert run.command_line == "wget -q http://x/a b"
    assert (run.host, run.source) == (ip_address(HOST), ip_address("192.0.2.66"))
    assert run.begin_us == (AT + 1) * 1_000_000


def test_a_connection_that_nobody_waits_for_was_begun() -> None:
    [seen] = events(*connection())
    assert (seen.target, seen.target_port) == (ip_address("203.0.113.9"), 80)
    assert (seen.event_kind, seen.succeeded) == ("connection", True)
    assert seen.command_line == "wget -q"
    refused = [connection()[0].replace("-115", "-111"), *connection()[1:]]
    [seen] = events(*refused)
    assert not seen.succeeded


def test_a_host_of_two_families_connects_from_the_right_one() -> None:
    saddr = "0A0001BB00000000" + ip_address("2001:db8::9").packed.hex().upper() + "00000000"
    own = (ip_address(HOST), ip_address("2001:db8::18"))
    [seen] = events(*connection(saddr=saddr), address=own)
    assert (str(seen.target), seen.target_port) == ("2001:db8::9", 443)
    assert str(seen.host) == "2001:db8::18"


@pytest.mark.parametrize(
    "saddr",
    [
        "01002F7661722F72756E2F6E7363642F736F636B657400",
        "100000000000000000000000",
        "0200005000000000",
        "02000000CB007109",
        "0A000050",
        "zz",
    ],
    ids=["unix", "netlink", "unspecified", "port 0", "short", "no digits"],
)
def test_other_sockets_are_no_connections(saddr: str) -> None:
    assert events(*connection(saddr=saddr)) == []


def test_accept_and_bind_are_no_connections() -> None:
    for number in (43, 49):
        lines = [call(1.5, 30, number), *connection()[1:]]
        assert events(*lines) == []
    arm = [call(1.5, 30, 203, arch="c00000b7"), *connection()[1:]]
    assert len(events(*arm)) == 1


def test_a_file_is_made_where_a_rule_watches() -> None:
    [seen] = events(*creation())
    assert (seen.event_kind, seen.file_path) == ("file-creation", "/srv/a")
    assert events(*creation(name=b"/x y".hex().upper()))[0].file_path == "/x y"
    assert len(events(*creation(nametype="objtype"))) == 1
    assert events(*creation(mode="040755")) == []
    failed = [creation()[0].replace("success=yes", "success=no"), *creation()[1:]]
    assert events(*failed) == []


def test_enriched_names_count_more_than_numbers() -> None:
    more = '\x1dARCH=x86_64 SYSCALL=execve AUID="admin" UID="root" EUID="www-data"'
    [run] = events(*execution(more=more))
    assert (run.user_name, run.login_name) == ("www-data", "admin")


def test_lines_of_events_may_come_mixed_and_in_any_order() -> None:
    """All orders of three events' lines give the same three events."""
    lines = [*execution(), *connection(), *creation()]
    expected = {event.id: event for event in events(login(), *lines)}
    assert len(expected) == 4
    rng = random.Random(11)
    for _ in range(50):
        mixed = lines[:]
        rng.shuffle(mixed)
        found = events(login(), *mixed, *execution(90, 9.0))
        late = [event for event in found if event.begin_us != (AT + 9) * 1_000_000]
        # What came behind its own end lacks that line: a title, a directory.
        assert {event.id for event in late} == set(expected)


def test_an_event_without_an_end_is_complete_when_the_log_is_further() -> None:
    lines = execution()[:-1]
    assert events(*lines) == []
    assert len(events(*lines, *execution(91, 4.0)[:1])) == 1
    assert len(events(*lines, f"type=EOE msg={at(1.0, 20)}: ")) == 1


def test_unfinished_events_are_bounded() -> None:
    parser = AuditParser(Options())
    for number in range(3 * MAX_PENDING):
        list(parser.on_line(execution(number)[0].encode()))
    assert len(json.loads(parser.memory())[1]) < MAX_PENDING
    assert len(parser.memory()) < 65_536
    assert len(parser._pending) <= MAX_PENDING


def test_what_is_unfinished_is_taken_up_after_a_restart() -> None:
    first, second = (
        AuditParser(Options(address=ip_address(HOST))),
        AuditParser(Options(address=ip_address(HOST))),
    )
    assert len(events(login(), *execution()[:2], parser=first)) == 1
    second.remember(first.memory())
    [run] = events(*execution()[2:], parser=second)
    assert run.source == ip_address("192.0.2.66")
    assert run.command_line.startswith("wget -q")


def test_sessions_are_bounded_and_numbers_are_given_out_anew() -> None:
    parser = AuditParser(Options())
    for number in range(2 * MAX_SESSIONS):
        list(parser.on_line(login(number, session=number).encode()))
    assert len(json.loads(parser.memory())[0]) == MAX_SESSIONS
    anew = f"type=LOGIN msg={at(0.5, 15)}: pid=9 uid=0 old-auid=4294967295 auid=0 ses=5 res=1"
    assert [e.source for e in events(login(), anew, *execution())][1] is None
    boot = f"type=SYSTEM_BOOT msg={at(0.5, 15)}: pid=9 uid=0 ses=0 msg='res=success'"
    assert [e.source for e in events(login(), boot, *execution())][1] is None


def test_logins_count_once_and_end() -> None:
    ssh = (
        f"type=USER_LOGIN msg={at(0.2, 12)}: pid=900 uid=0 auid=0 ses=5 msg='op=login id=0 "
        'exe="/usr/sbin/sshd" hostname=192.0.2.66 addr=192.0.2.66 terminal=/dev/pts/1 res=success\''
    )
    end = login(50).replace("USER_START", "USER_END").replace("session_open", "session_close")
    sudo = end.replace("addr=192.0.2.66", "addr=?")
    assert [e.event_kind for e in events(login(), ssh, sudo, end)] == ["login", "logout"]
    failed = (
        f"type=USER_LOGIN msg={at(0.2, 12)}: pid=900 uid=0 auid=4294967295 ses=4294967295 "
        'msg=\'op=login acct=28696E76616C6964207573657229 exe="/usr/sbin/sshd" hostname=? '
        "addr=192.0.2.67 terminal=ssh res=failed'"
    )
    [seen] = events(failed)
    assert (seen.succeeded, seen.user_name) == (False, "(invalid user)")
    cron = login().replace("192.0.2.66", "?").replace("/usr/sbin/sshd", "/usr/sbin/cron")
    assert events(cron) == []


def test_what_a_client_writes_is_never_an_address() -> None:
    """A name, a host's name or a command line may look like anything."""
    twice = login(address="192.0.2.66").replace(
        "hostname=192.0.2.66", "hostname=x addr=203.0.113.1"
    )
    intake = Intake(make_parser("audit", Options()), sensor="sensor")
    assert intake.on_lines([twice.encode()], "mark", NOW_US) == []
    assert intake.counters["refused.ambiguous"] == 1
    lines = execution()
    lines[1] = lines[1].replace('a1="-q"', 'a1="addr=203.0.113.1"')
    _, run = events(login(), *lines)
    assert run.source == ip_address("192.0.2.66")
    assert "addr=203.0.113.1" in run.command_line
    # A line of another program that speaks of one.
    other = f"Nov 16 12:23:54 web sshd[7]: Invalid user {login()} from 192.0.2.1 port 7"
    assert events(other) == []


@pytest.mark.parametrize(
    "prefix",
    [
        "node=web1 ",
        "Nov 16 12:23:54 web1 audispd: ",
        "Nov 16 12:23:54 web1 audisp-syslog: node=web1 ",
    ],
)
def test_lines_that_audispd_hands_on(prefix: str) -> None:
    assert len(events(*(prefix + line for line in execution()))) == 1


def test_the_kernels_own_log_has_numbers_for_types() -> None:
    numbers = {"SYSCALL": 1300, "EXECVE": 1309, "CWD": 1307, "PATH": 1302, "PROCTITLE": 1327}
    lines = []
    for line in execution():
        kind = line[5 : line.index(" ")]
        lines.append(
            "Nov 16 12:23:54 web1 kernel: audit: "
            + line.replace(f"type={kind} msg=", f"type={numbers[kind]} ")
        )
    assert len(events(*lines)) == 1
    assert (
        len(events(*execution()[:-1], execution()[-1].replace("PROCTITLE", "UNKNOWN[1327]"))) == 1
    )


def journal(line: str) -> bytes:
    kind, rest = line[5:].split(" ", 1)
    stamp, body = rest.removeprefix("msg=audit(").split("): ", 1)
    seconds, number = stamp.split(":")
    return json.dumps(
        {
            "_TRANSPORT": "audit",
            "_AUDIT_TYPE_NAME": kind,
            "_AUDIT_ID": number,
            "_SOURCE_REALTIME_TIMESTAMP": seconds.replace(".", "") + "000",
            "__CURSOR": "s=1",
            "SYSLOG_IDENTIFIER": "audit",
            "MESSAGE": f"{kind} {body}",
        }
    ).encode()


def test_journalds_audit_stream_says_the_same() -> None:
    lines = [login().split("\x1d")[0], *execution(), *connection(), *creation()]
    assert events(*map(journal, lines)) == events(*lines)
    bytes_of = json.loads(journal(execution()[0]))
    bytes_of["MESSAGE"] = list(bytes_of["MESSAGE"].encode())
    assert len(events(json.dumps(bytes_of), *map(journal, execution()[1:]))) == 1
    other = {"_TRANSPORT": "syslog", "__CURSOR": "s=2", "MESSAGE": login()}
    assert events(json.dumps(other)) == []


def test_many_events_are_told_up_to_a_budget() -> None:
    lines = [line for n in range(1000) for line in execution(n)]
    intake = Intake(make_parser("audit", Options()), sensor="sensor")
    found = intake.on_lines([line.encode() for line in lines], "mark", NOW_US)
    # One process of a hundred at most.
    assert len(found) == 100
    assert intake.counters["held_back"] == 900


def test_the_same_lines_read_again_give_the_same_ids() -> None:
    lines = [login(), *execution()]
    assert [e.id for e in events(*lines)] == [e.id for e in events(*lines)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("type=SYSCALL msg=audit(x:1): pid=1", "time"),
        ("type=SYSCALL msg=audit(1764450000.100): pid=1", "time"),
        ("type=SYSCALL", "shape"),
        ("type=USER_LOGIN msg=audit(1764450000.100:7): pid=1", "shape"),
        ("type=SYSCALL msg=audit(1764450000.100:7): " + "x" * 20_000, "overlong"),
    ],
    ids=["time", "number", "head", "message", "overlong"],
)
def test_lines_that_cannot_be_used_have_a_reason(line: str, reason: str) -> None:
    intake = Intake(make_parser("audit", Options()), sensor="sensor")
    assert intake.on_lines([line.encode()], "mark", NOW_US) == []
    assert intake.counters[f"refused.{reason}"] == 1
