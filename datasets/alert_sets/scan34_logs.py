"""Scan of the Month 34 of the Honeynet Project (2005): the logs of a honeynet, in one archive.

The archive ``Original_SotM34_dataset.tar.gz`` holds a firewall's, Snort's, a web server's and a
host's logs. The web server's and the host's clocks went 287 minutes behind the other two (README of
its labelled edition). What happened is described in ``Incidents_Description.txt``.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path

from datasets.alert_sets.labelled import SetError
from ontology.records import Address

HONEYNET = IPv4Network("11.11.79.0/24")
HOST = IPv4Address("11.11.79.89")
"""Whose web server's and system's logs they are: Snort saw the same visits there."""
NOW_US = round(datetime(2005, 4, 30, tzinfo=UTC).timestamp()) * 1_000_000
"""The lines of some logs name no year; all are of the months before this."""
_BEHIND_US = 287 * 60 * 1_000_000
_ZONE_US = 300 * 60 * 1_000_000
"""The web server names its zone (-0500), the others don't and are read as UTC."""
_LOGS = (
    # Directory, beginning of the file's name, kind of input, what its times lack.
    ("iptables", "iptablesyslog", "syslog", 0),
    ("snort", "snortsyslog", "syslog", 0),
    ("http", "access_log", "access", _BEHIND_US - _ZONE_US),
    ("syslog", "secure", "syslog", _BEHIND_US),
    ("syslog", "messages", "syslog", _BEHIND_US),
)
_INCIDENT = re.compile(r"^\s*(A\d+): *(.*?):?\s*$")
_WHO = re.compile(r"Associated IP addresses?: *(.*)$")
_COUNTS = re.compile(r"\((\w+): *\d+\)")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Log:
    """One file of the archive."""

    name: str
    kind: str
    """Of the input that reads it."""
    lacks_us: int
    """To be added to its times."""
    lines: list[bytes]


@dataclass(frozen=True, slots=True)
class Described:
    """One incident of the description."""

    number: str
    title: str
    addresses: frozenset[Address]
    logs: frozenset[str]
    """Kinds of log that it left traces in."""


def read_logs(path: Path) -> Iterator[Log]:
    """The logs that say who did something. Raises: SetError, OSError."""
    try:
        with tarfile.open(path) as tar:
            for member in sorted(tar.getmembers(), key=lambda member: member.name):
                directory, _, name = member.name.rpartition("/")
                for folder, begin, kind, lacks_us in _LOGS:
                    if directory.endswith(folder) and name.startswith(begin):
                        file = tar.extractfile(member)
                        if file is not None:
                            yield Log(name, kind, lacks_us, file.read().splitlines())
    except (tarfile.TarError, EOFError) as e:
        raise SetError(f"{path}: is no archive of the set: {e}") from e


def read_incidents(path: Path) -> list[Described]:
    """What ``Incidents_Description.txt`` tells. Raises: SetError, OSError."""
    found: list[Described] = []
    head = ("", "")
    who: frozenset[Address] = frozenset()
    for line in path.read_text(encoding="latin-1").splitlines():
        if match := _INCIDENT.match(line):
            head, who = (match[1], match[2]), frozenset()
        elif match := _WHO.search(line):
            who = frozenset(ip_address(text) for text in _ADDRESS.findall(match[1]))
        elif "Number of logged events" in line and who and head[0]:
            found.append(Described(*head, who, frozenset(_COUNTS.findall(line))))
            head = ("", "")
    if not found:
        raise SetError(f"{path}: describes no incident")
    return found
