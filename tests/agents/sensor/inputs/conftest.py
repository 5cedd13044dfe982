"""One parser driven by hand: lines in, rows, alerts and counters out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from agents.sensor.inputs.events import Options
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.registry import make_parser
from ontology.records import CONNECTION, Alert, ConnectionBatch, ObservedData

HONEYPOT = "198.51.100.18"
NOW_US = 1_795_000_000_000_000
"""2026-11-18."""


@dataclass
class Seen:
    rows: NDArray[np.void]
    alerts: list[Alert]
    counters: Counter[str]
    batches: list[ConnectionBatch] = field(default_factory=list)
    observed: list[ObservedData] = field(default_factory=list)


def parse(kind: str, *lines: bytes | str, now_us: int = NOW_US, **options: Any) -> Seen:
    options.setdefault("honeypots", frozenset({ip_address(HONEYPOT)}))
    intake = Intake(make_parser(kind, Options(**options)), sensor="sensor")
    raw = [line.encode() if isinstance(line, str) else line for line in lines]
    records = intake.on_lines(raw, "mark", now_us)
    batches = [r for r in records if isinstance(r, ConnectionBatch)]
    rows = [b.connections for b in batches] or [np.zeros(0, CONNECTION)]
    alerts = [r for r in records if isinstance(r, Alert)]
    observed = [r for r in records if isinstance(r, ObservedData)]
    return Seen(np.concatenate(rows), alerts, intake.counters, batches, observed)


@pytest.fixture(name="parse")
def _parse() -> Any:
    return parse


@pytest.fixture
def honeypot() -> str:
    return HONEYPOT


EVE_ALERT = (
    '{"timestamp":"2026-11-17T12:48:35.198583+0000","flow_id":1,"event_type":"alert",'
    '"src_ip":"192.0.2.66","src_port":61038,"dest_ip":"203.0.113.80","dest_port":80,"proto":"TCP",'
    '"alert":{"action":"allowed","gid":1,"signature_id":2010937,"rev":2,"signature":"ET WEB thing",'
    '"category":"Web Application Attack","severity":1},"stream":1}'
)
EVE_FLOW = (
    '{"timestamp":"2026-11-17T12:50:00.000000+0000","event_type":"flow","src_ip":"2001:db8::7",'
    '"src_port":40000,"dest_ip":"2001:db8::80","dest_port":22,"proto":"TCP","flow":{"pkts_toserver"'
    ':6,"pkts_toclient":5,"bytes_toserver":524,"bytes_toclient":970,"start":'
    '"2026-11-17T12:49:00.000000+0000","end":"2026-11-17T12:49:02.500000+0000","state":"closed"},'
    '"tcp":{"tcp_flags":"1b","tcp_flags_ts":"1b","tcp_flags_tc":"1b","state":"closed"}}'
)
COWRIE = (
    '{"eventid":"cowrie.session.connect","src_ip":"192.0.2.66","src_port":52577,"timestamp":'
    '"2026-11-16T17:44:05.866769Z","dst_ip":"172.17.0.3","protocol":"ssh","session":"1733",'
    '"dst_port":2222}',
    '{"eventid":"cowrie.login.failed","username":"root","password":"x","timestamp":'
    '"2026-11-16T17:44:06.000000Z","src_ip":"192.0.2.66","session":"1733"}',
    '{"eventid":"cowrie.login.success","username":"root","password":"y","timestamp":'
    '"2026-11-16T17:44:07.000000Z","src_ip":"192.0.2.66","session":"1733"}',
    '{"eventid":"cowrie.command.input","input":"wget http://x/\\u001b[2J","timestamp":'
    '"2026-11-16T17:44:08.000000Z","src_ip":"192.0.2.66","session":"1733"}',
    '{"eventid":"cowrie.session.closed","timestamp":"2026-11-16T17:44:09.000000Z",'
    '"src_ip":"192.0.2.66","session":"1733","duration":3.2}',
)
DIONAEA = (
    '{"connection":{"protocol":"ftpd","transport":"tcp","type":"accept"},"dst_ip":"198.51.100.18",'
    '"dst_port":21,"src_hostname":"","src_ip":"192.0.2.66","src_port":4711,"timestamp":'
    '"2026-11-16T17:44:05.866769","credentials":[{"username":"a","password":"b"},'
    '{"username":"a","password":"c"}]}'
)
IPTABLES = (
    "Nov 16 12:11:24 bridge kernel: INBOUND TCP: IN=br0 PHYSIN=eth0 OUT=br0 PHYSOUT=eth1 "
    "SRC=192.0.2.66 DST=198.51.100.18 LEN=64 TOS=0x00 PREC=0x00 TTL=47 ID=17159 DF PROTO=TCP "
    "SPT=1629 DPT=139 WINDOW=44620 RES=0x00 SYN URGP=0 "
)
SNORT = (
    "Nov 16 12:23:54 bastion snort: [1:2003:8] MS-SQL Worm propagation attempt [Classification: "
    "Misc Attack] [Priority: 2]: {UDP} 192.0.2.66:1067 -> 203.0.113.89:1434"
)
AUTH = (
    "Nov 16 12:23:54 bastion sshd-session[7]: Failed password for invalid user pi from 192.0.2.66 "
    "port 1067 ssh2"
)
ZEEK = (
    "#separator \\x09",
    "#set_separator\t,",
    "#empty_field\t(empty)",
    "#unset_field\t-",
    "#path\tconn",
    "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\t"
    "orig_bytes\tresp_bytes\tconn_state\thistory\torig_pkts\tresp_pkts",
    "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\tcount\tcount\tstring\t"
    "string\tcount\tcount",
    "1794000000.250000\tCx\t192.0.2.66\t40000\t198.51.100.18\t80\ttcp\thttp\t1.500000\t300\t900\t"
    "SF\tShADadFf\t8\t7",
    "1794000001.000000\tCy\t192.0.2.66\t40001\t198.51.100.18\t81\ttcp\t-\t-\t-\t-\tREJ\tSr\t1\t1",
)

AUDIT = (
    "type=USER_START msg=audit(1764450000.100:11): pid=900 uid=0 auid=0 ses=5 msg='op=PAM:"
    'session_open acct="root" exe="/usr/sbin/sshd" hostname=192.0.2.66 addr=192.0.2.66 '
    "terminal=ssh res=success'",
    "type=SYSCALL msg=audit(1764450001.000:20): arch=c000003e syscall=42 success=no exit=-115 "
    'ppid=901 pid=902 auid=0 uid=0 euid=33 ses=5 comm="wget" exe="/usr/bin/wget" key="net"'
    '\x1dARCH=x86_64 SYSCALL=connect AUID="root" UID="root" EUID="www-data"',
    "type=SOCKADDR msg=audit(1764450001.000:20): saddr=02000050CB0071090000000000000000",
    "type=PROCTITLE msg=audit(1764450001.000:20): proctitle=77676574002D71",
    "type=SYSCALL msg=audit(1764450002.000:21): arch=c000003e syscall=59 success=yes exit=0 "
    'ppid=901 pid=903 auid=0 uid=0 euid=33 ses=5 comm="x" exe="/usr/bin/x" key="exec"',
    'type=EXECVE msg=audit(1764450002.000:21): argc=2 a0="x" a1=612062',
    "type=PROCTITLE msg=audit(1764450002.000:21): proctitle=78",
    '{"_TRANSPORT":"audit","_AUDIT_TYPE_NAME":"SYSCALL","_AUDIT_ID":"22","MESSAGE":"SYSCALL '
    'arch=c000003e syscall=257 success=yes exit=3 ppid=1 pid=4 auid=0 uid=0 euid=0 ses=5 exe=2F78",'
    '"_SOURCE_REALTIME_TIMESTAMP":"1764450003000000"}',
    'type=CWD msg=audit(1764450003.000:22): cwd="/srv"',
    'type=PATH msg=audit(1764450003.000:22): item=1 name="a" mode=0100644 nametype=CREATE',
    "type=EOE msg=audit(1764450003.000:22): ",
)
WTMP = tuple(
    (
        kind.to_bytes(4, "little")
        + (515).to_bytes(4, "little")
        + b"pts/1".ljust(36, b"\0")
        + b"root".ljust(32, b"\0")
        + b"".ljust(264, b"\0")
        + (0x692B6E50).to_bytes(4, "little")
        + bytes(4)
        + bytes(address).ljust(36, b"\0")
    ).decode("utf-8")
    for kind, address in ((7, (66, 2, 0, 1)), (8, ()))
)
"""Nothing in them is no ASCII: they are text like the others."""

LINES: dict[str, tuple[str, ...]] = {
    "audit": AUDIT,
    "wtmp": WTMP,
    "eve": (EVE_ALERT, EVE_FLOW),
    "cowrie": COWRIE,
    "dionaea": (DIONAEA,),
    "syslog": (IPTABLES, SNORT, AUTH),
    "zeek": ZEEK,
}
SAMPLES = Path(__file__).with_name("samples")
LINES |= {
    path.stem: tuple(
        line for line in path.read_text(encoding="utf-8").splitlines() if line[:3] != "#= "
    )
    for path in sorted(SAMPLES.glob("*.log"))
}


@pytest.fixture(scope="session")
def lines() -> dict[str, tuple[str, ...]]:
    """Good lines of each kind."""
    return LINES
