"""What is known of captures: attack and attacker of each.

``DIR/GROUND_TRUTH.tsv`` has a row per capture and at least the columns ``file``, ``attack`` and
``attacker``; ``honeypots`` may name their addresses. ``attack`` is a class of the ontology (several
joined by ``+``: all must be found), or words such as "nmap FIN scan"; ``none …`` and ``normal …``
are benign. Where there is none, ``manifest.tsv`` of `datasets.recipe.traffic` says the same.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from ontology.records import Address
from ontology.taxonomy import ATTACK_CLASSES

TRUTH, RECIPE = "GROUND_TRUTH.tsv", "manifest.tsv"
NORMAL, MISSED = "normal", "none"

# The words of a truth, to what must be found: every group, any class of a group.
_MEANINGS: tuple[tuple[str, tuple[frozenset[str], ...]], ...] = tuple(
    (pattern, tuple(frozenset(group.split("|")) for group in groups.split()))
    for pattern, groups in (
        (r"connect scan", "ConnectScan"),
        (r"FIN scan", "FinScan"),
        (r"NULL scan", "NullScan"),
        (r"XMAS scan", "XmasScan"),
        (r"ACK scan", "AckScan"),
        (r"version scan", "VersionScan"),
        (r"protocol scan", "ProtocolScan"),
        (r"ping sweep -> TCP/UDP", "IcmpSweep SynScan|ConnectScan UdpScan"),
        (r"UDP scan", "UdpScan"),
        (r"(ICMP host|ping) sweep", "IcmpSweep"),
        (r"SYN (port )?scan", "SynScan"),
        (r"FTP brute force", "FtpBruteForce"),
        (r"SSH password guessing", "SshBruteForce"),
        (r"SYN flood", "SynFlood"),
        (r"UDP flood", "UdpFlood"),
        (r"ICMP flood", "IcmpFlood"),
        (r"amplification", "AmplificationFlood"),
        (r"SQL injection", "SqlInjection"),
        (r"RCE probes", "CommandInjection|PathTraversal"),
        (r"XSS", "CrossSiteScripting"),
    )
)


@dataclass(frozen=True, slots=True)
class Truth:
    """One row: a capture and what is in it."""

    file: Path
    attack: str
    wanted: tuple[frozenset[str], ...]
    """Every group must be found, any class of a group will do; empty: benign."""
    attacker: Address | None
    """None: forged, many, or not known."""
    honeypots: tuple[Address, ...] = ()


def wanted_of(attack: str) -> tuple[frozenset[str], ...] | None:
    """What ``attack`` asks for; empty for benign traffic, None if the words are not known."""
    if attack.lower().startswith((MISSED, NORMAL)):
        return ()
    classes = attack.split("+")
    if all(name in ATTACK_CLASSES for name in classes):
        return tuple(frozenset({name}) for name in classes)
    return next((groups for text, groups in _MEANINGS if re.search(text, attack, re.I)), None)


def read_truth(directory: Path) -> tuple[list[Truth], list[str]]:
    """The captures to judge, and for each row that can't be judged a line that says why.

    Raises:
        ValueError: columns are missing, a file leaves the folder, or nothing is left to judge.
        OSError: there is no table.
    """
    path, columns = directory / TRUTH, ("file", "attack", "attacker")
    if not path.exists() and (directory / RECIPE).exists():
        path, columns = directory / RECIPE, ("file", "label", "attacker")
    found: list[Truth] = []
    left_out: list[str] = []
    with path.open(encoding="utf-8", newline="") as file:
        try:
            reader = csv.DictReader(file, delimiter="\t", strict=True)
            missing = set(columns) - set(reader.fieldnames or ())
            if missing:
                raise ValueError(f"{path}:1: no column {sorted(missing)[0]!r}")
            for row in reader:
                place = f"{path}:{reader.line_num}"
                if None in row.values():
                    raise ValueError(f"{place}: too few columns")
                name, attack, attacker = (row[column] for column in columns)
                capture = directory / name
                if Path(name).is_absolute() or ".." in Path(name).parts:
                    raise ValueError(f"{place}: {name!r} leaves the folder")
                wanted = wanted_of(attack)
                if wanted is None:
                    left_out.append(f"{name}: no class is known for {attack!r}")
                elif not capture.is_file():
                    left_out.append(f"{name}: no such capture")
                else:
                    pots = row.get("honeypots", row["attacker"] if _outgoing(attack) else "")
                    if name.startswith("honeypot-") and "victim" in row:
                        pots = row["victim"]
                    found.append(Truth(capture, attack, wanted, _address(attacker), _pots(pots)))
        except (csv.Error, UnicodeDecodeError) as e:
            raise ValueError(f"{path}: not a table: {e}") from e
    if not found:
        raise ValueError(f"{path}: no capture to judge")
    return found, left_out


def _outgoing(attack: str) -> bool:
    """Whether its source is one of our own hosts."""
    return attack.startswith("Outgoing")


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None  # "random spoofed", "reflectors", empty


def _pots(text: str | None) -> tuple[Address, ...]:
    found = (_address(part.strip()) for part in (text or "").split(","))
    return tuple(one for one in found if one is not None)
