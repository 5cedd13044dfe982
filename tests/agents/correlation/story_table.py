"""Stories in a small notation, and how the engine tells them, in the same words.

An alert is ``seconds class source>target[:port][/udp] [confidence] [forged] [CVE-…]``; hosts are
letters of `HOSTS`, ``*`` nobody in particular. A telling is a line a case::

    Label who>hit: step, doubtful step?; missed step; goal objective; perhaps objective
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from agents.correlation.outcome import Outcome
from ontology.records import Address, Alert, HostProfile

S = 1_000_000
T0 = 1_790_000_000 * S
HOSTS = {
    **{name: f"192.0.2.{n}" for n, name in enumerate("ABCDEFG", 10)},  # strangers
    "N": "100.64.7.7",  # behind a provider's NAT
    "R": "192.0.2.200",  # on the operator's list of research scanners
    "X": "198.18.0.9",  # a host elsewhere
    "Y": "198.18.0.10",
    "P": "198.51.100.5",  # honeypots
    "Q": "198.51.100.6",
    "T": "203.0.113.20",  # own servers
    "U": "203.0.113.21",
    "V": "203.0.113.22",
}
OWN = {"P": "Honeypot", "Q": "Honeypot", "T": "ProtectedHost", "U": "ProtectedHost"}
OWN["V"] = "ProtectedHost"
NAMES: dict[Address, str] = {ip_address(text): name for name, text in HOSTS.items()}
PROFILES = [
    HostProfile(
        id=f"urn:ontoidps:profile:{HOSTS[name]}",
        address=ip_address(HOSTS[name]),
        roles=(role,),
        asset_value=5,
    )
    for name, role in OWN.items()
]


def alerts_of(text: str) -> list[Alert]:
    """One alert a line."""
    return [_alert(n, line.split()) for n, line in enumerate(text.strip().splitlines())]


def _alert(number: int, words: list[str]) -> Alert:
    at, classification, ends, *more = words
    source, _, rest = ends.partition(">")
    target, _, port = rest.partition(":")
    port, _, udp = port.partition("/")
    numbers = [float(word) for word in more if word[0].isdigit()]
    begin_us = T0 + int(float(at) * S)
    return Alert(
        id=f"urn:uuid:{number:032x}",
        classification=classification,
        source=None if source == "*" else ip_address(HOSTS[source]),
        target=ip_address(HOSTS[target]),
        target_port=int(port) if port else None,
        protocol=17 if udp else 6,
        begin_us=begin_us,
        end_us=begin_us + S,
        count=10,
        confidence=numbers[0] if numbers else 0.9,
        verified_source="forged" not in more,
        sensor="gw1",
        analyzer="gw1",
        explanation="because",
        cves=tuple(word for word in more if word.startswith("CVE-")),
    )


def telling(outcomes: Iterable[Outcome]) -> list[str]:
    """The cases as they stand in the end, sorted."""
    last = {
        one.incident.id: one.incident
        for one in outcomes
        if one.incident.classification == "ScenarioIncident"
    }
    told = []
    for incident in last.values():
        steps, notes = [], []
        for line in incident.explanation.splitlines():
            name = line.partition(": ")[2].partition(",")[0]
            if line.startswith("Scenario "):
                label = line.removeprefix("Scenario ").partition(":")[0]
            elif line.startswith("Step "):
                steps.append(name + "?" * ("; doubtful: " in line))
            elif line.startswith("Not seen: "):
                notes.append(f"missed {name}")
            elif line.startswith("Objective in reach: "):
                notes.append(f"goal {name}")
            elif line.startswith("Objective perhaps"):
                notes.append(f"perhaps {name}")
        who = "*" if incident.source is None else NAMES[incident.source]
        hit = "".join(sorted(NAMES[target] for target in incident.targets))
        told.append("; ".join([f"{label} {who}>{hit}: {', '.join(steps)}", *notes]))
    return sorted(told)


def blocked(outcomes: Iterable[Outcome]) -> str:
    """Who is ordered to be blocked, by anything."""
    return "".join(sorted({NAMES[d.source] for one in outcomes for d in one.decisions}))
