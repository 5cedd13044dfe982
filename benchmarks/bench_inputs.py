"""How fast logs are read: lines a second per parser, against the least that Python can do.

    python benchmarks/bench_inputs.py [--lines N] [--rounds N] [--json]

The least is `json.loads` of each line, or `str.split` where a line is no JSON: no parser that looks
at every line can be faster. Lines are made here (seeded); both sides take turns in one run, and the
ratio of medians is what counts. ``intake`` is the parser and the records made from what it gives.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from agents.sensor.inputs.events import Options, Parser
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.registry import make_parser

_BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
NOW_US = 1_795_000_000_000_000
ZEEK_FIELDS = (
    "ts uid id.orig_h id.orig_p id.resp_h id.resp_p proto service duration orig_bytes resp_bytes "
    "conn_state local_orig local_resp missed_bytes history orig_pkts orig_ip_bytes resp_pkts "
    "resp_ip_bytes tunnel_parents"
).split()


def _at(number: int) -> datetime:
    return _BEGIN + timedelta(milliseconds=250 * number)


def _eve(rng: random.Random, number: int) -> str:
    """A signature has one message and one category, as in any set of rules."""
    sid = rng.randrange(500)
    return json.dumps(
        {
            "timestamp": _at(number).isoformat(),
            "flow_id": rng.getrandbits(50),
            "in_iface": "eth0",
            "event_type": "alert",
            "src_ip": f"192.0.2.{rng.randrange(256)}",
            "src_port": rng.randrange(1024, 65536),
            "dest_ip": f"198.51.100.{rng.randrange(32)}",
            "dest_port": 80,
            "proto": "TCP",
            "alert": {
                "action": "allowed",
                "gid": 1,
                "signature_id": 2_000_000 + sid,
                "rev": 2,
                "signature": f"ET WEB_SERVER probe number {sid}",
                "category": ("Web Application Attack", "Misc activity")[sid % 2],
                "severity": 1,
            },
            "payload": "QUFB" * 60,
            "stream": 1,
        }
    )


def _cowrie(rng: random.Random, number: int) -> str:
    session = number // 4
    common = {
        "src_ip": f"192.0.2.{session % 256}",
        "timestamp": _at(number).isoformat(),
        "session": f"{session:012x}",
        "sensor": "920497a79896",
        "message": "x" * 60,
    }
    kinds = (
        {"eventid": "cowrie.session.connect", "src_port": 40000, "dst_port": 2222}
        | {"dst_ip": "172.17.0.3", "protocol": "ssh"},
        {"eventid": "cowrie.login.failed", "username": "root", "password": "secret"},
        {"eventid": "cowrie.client.version", "version": "SSH-2.0-Go", "kexAlgs": ["x" * 20] * 12},
        {"eventid": "cowrie.session.closed", "duration": 1.5},
    )
    return json.dumps(kinds[number % 4] | common)


def _dionaea(rng: random.Random, number: int) -> str:
    return json.dumps(
        {
            "connection": {"protocol": "smbd", "transport": "tcp", "type": "accept"},
            "dst_ip": "198.51.100.18",
            "dst_port": 445,
            "src_hostname": "",
            "src_ip": f"192.0.2.{rng.randrange(256)}",
            "src_port": rng.randrange(1024, 65536),
            "timestamp": _at(number).replace(tzinfo=None).isoformat(),
        }
    )


def _zeek(rng: random.Random, number: int) -> str:
    cells = (
        f"{_at(number).timestamp():.6f}",
        "CdJ6Xx1FwHaVYz9gY4",
        f"192.0.2.{rng.randrange(256)}",
        str(rng.randrange(1024, 65536)),
        f"198.51.100.{rng.randrange(32)}",
        "80",
        "tcp",
        "http",
        "1.500000",
        "300",
        "900",
        "SF",
        *"FF0",
        "ShADadFf",
        *("8", "620", "7", "1180", "-"),
    )
    return "\t".join(cells)


def _syslog(rng: random.Random, number: int) -> str:
    return (
        f"{_at(number):%b %d %H:%M:%S} bridge kernel: INBOUND TCP: IN=br0 PHYSIN=eth0 OUT=br0 "
        f"PHYSOUT=eth1 SRC=192.0.2.{rng.randrange(256)} DST=198.51.100.{rng.randrange(32)} LEN=64 "
        f"TOS=0x00 PREC=0x00 TTL=47 ID={rng.randrange(65536)} DF PROTO=TCP "
        f"SPT={rng.randrange(65536)} DPT={rng.randrange(65536)} WINDOW=44620 RES=0x00 SYN URGP=0 "
    )


def _auth(rng: random.Random, number: int) -> str:
    words = ("Failed password for root", "Failed password for invalid user pi", "Accepted password")
    return (
        f"{_at(number):%b %d %H:%M:%S} gw sshd-session[{number % 32768}]: {words[number % 3]} from "
        f"192.0.2.{rng.randrange(256)} port {rng.randrange(1024, 65536)} ssh2"
    )


def _audit(rng: random.Random, number: int) -> str:
    """Lines of a program that is started, five an event."""
    event = f"audit({_at(number // 5).timestamp():.3f}:{number // 5})"
    return (
        f"type=SYSCALL msg={event}: arch=c000003e syscall=59 success=yes exit=0 a0=55e a1=55f "
        f"a2=560 a3=8 items=2 ppid=900 pid={number % 512} auid=1000 uid=0 gid=0 euid=0 suid=0 "
        'fsuid=0 egid=0 sgid=0 fsgid=0 tty=pts1 ses=5 comm="wget" exe="/usr/bin/wget" '
        'subj=unconfined key="exec"\x1dARCH=x86_64 SYSCALL=execve AUID="admin" UID="root" '
        'GID="root" EUID="root" SUID="root" FSUID="root" EGID="root" SGID="root" FSGID="root"',
        f'type=EXECVE msg={event}: argc=3 a0="wget" a1="-q" a2="http://192.0.2.{number % 256}/x"',
        f'type=CWD msg={event}: cwd="/srv"',
        f'type=PATH msg={event}: item=0 name="/usr/bin/wget" inode=1179 dev=fd:00 mode=0100755 '
        "ouid=0 ogid=0 rdev=00:00 nametype=NORMAL cap_fp=0 cap_fi=0 cap_fe=0 cap_fver=0",
        f"type=PROCTITLE msg={event}: proctitle=77676574002D7100",
    )[number % 5]


def _access(rng: random.Random, number: int) -> str:
    return (
        f"192.0.2.{rng.randrange(256)} - - [{_at(number):%d/%b/%Y:%H:%M:%S +0000}] "
        f'"GET /page/{rng.randrange(500)}?id={number} HTTP/1.1" 200 {rng.randrange(9000)} '
        '"https://www.example.org/" "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"'
    )


def _heralding(rng: random.Random, number: int) -> str:
    return (
        f"{_at(number):%Y-%m-%d %H:%M:%S.%f},a{number},s{number // 3},192.0.2.{rng.randrange(256)},"
        f"{rng.randrange(1024, 65536)},172.17.0.3,22,ssh,root,secret{rng.randrange(500)},"
    )


def _honeypots(rng: random.Random, number: int) -> str:
    event = {
        "action": ("connection", "login", "command")[number % 3],
        "dest_ip": "0.0.0.0",  # noqa: S104
        "dest_port": "22",
        "server": "ssh_server",
        "src_ip": f"192.0.2.{rng.randrange(256)}",
        "src_port": str(rng.randrange(1024, 65536)),
        "timestamp": _at(number).replace(tzinfo=None).isoformat(),
        "username": "root",
        "password": f"secret{rng.randrange(500)}",
    }
    return json.dumps(event)


def _loads(lines: list[bytes]) -> None:
    for line in lines:
        json.loads(line)


def _split(lines: list[bytes]) -> None:
    for line in lines:
        line.decode().split()


KINDS: dict[str, tuple[Callable[[random.Random, int], str], Callable[[list[bytes]], None]]] = {
    "access": (_access, _split),
    "audit": (_audit, _split),
    "auth.log": (_auth, _split),
    "cowrie": (_cowrie, _loads),
    "dionaea": (_dionaea, _loads),
    "eve": (_eve, _loads),
    "heralding": (_heralding, _split),
    "honeypots": (_honeypots, _loads),
    "syslog": (_syslog, _split),
    "zeek": (_zeek, _split),
}

PARSERS = {"auth.log": "syslog"}


def _parse(parser: Parser, lines: list[bytes]) -> None:
    for line in lines:
        tuple(parser.on_line(line))


def _seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


def measure(kind: str, count: int, rounds: int) -> dict[str, float | str]:
    """Medians of CPU seconds, and what follows from them."""
    make, least = KINDS[kind]
    rng = random.Random(34)  # noqa: S311
    lines = [make(rng, number).encode() for number in range(count)]
    head = [b"#fields\t" + "\t".join(ZEEK_FIELDS).encode()] if kind == "zeek" else []
    plain, parsed, whole = [], [], []
    for _ in range(rounds):
        plain.append(_seconds(partial(least, lines)))
        parser = make_parser(PARSERS.get(kind, kind), Options())
        parser.now_us = NOW_US
        for line in head:
            parser.on_line(line)
        parsed.append(_seconds(partial(_parse, parser, lines)))
        intake = Intake(make_parser(PARSERS.get(kind, kind), Options()), sensor="bench")
        intake.on_lines(head, "head", NOW_US)
        whole.append(_seconds(partial(intake.on_lines, lines, "mark", NOW_US)))
        assert intake.counters["refused"] == 0
    base, parse, records = (statistics.median(times) for times in (plain, parsed, whole))
    return {
        "kind": kind,
        "lines_per_s": count / parse,
        "intake_lines_per_s": count / records,
        "least_lines_per_s": count / base,
        "ratio": parse / base,
        "intake_ratio": records / base,
    }


def main() -> None:
    """Measure every kind and print it."""
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--lines", type=int, default=20_000)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--json", action="store_true")
    options = arguments.parse_args()
    found = [measure(kind, options.lines, options.rounds) for kind in KINDS]
    if options.json:
        print(json.dumps(found))
        return
    for row in found:
        print(
            f"{row['kind']:9} {row['lines_per_s']:9,.0f} lines/s, with records "
            f"{row['intake_lines_per_s']:9,.0f}; least {row['least_lines_per_s']:9,.0f}: "
            f"{row['ratio']:.1f} and {row['intake_ratio']:.1f} times the least"
        )


if __name__ == "__main__":
    main()
