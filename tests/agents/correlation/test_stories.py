"""Stories, half of them false friends: how each is told, and whether anybody is blocked."""

from __future__ import annotations

import pytest

from agents.correlation.engine import CorrelationEngine
from agents.knowledge.load import find_joins
from agents.settings.honeynet import Policy
from ontology.chainer.joins import Joins
from ontology.reasoner.client import PelletWorker
from tests.agents.correlation.story_table import PROFILES, S, alerts_of, blocked, telling

Row = tuple[str, str, list[str], str]
"""What happens, the alerts, how it is told, who is blocked."""

TRUE: list[Row] = [
    (
        "Mitnick, whole",
        """0 SynFlood *>U forged
        30 SequencePrediction A>T
        60 SpoofedLogin U>T:513 forged""",
        [
            "Mitnick A>TU: syn-flood, tcp-sequence-prediction, spoofed-remote-login; "
            "goal illegal-remote-login"
        ],
        "A",
    ),
    (
        "Mitnick, but nobody saw the sequence numbers being learned, and the login is doubtful",
        """0 SynFlood *>U forged
        60 SpoofedLogin U>T:513 0.3 forged""",
        [
            "Mitnick *>TU: syn-flood, spoofed-remote-login?; missed tcp-sequence-prediction; "
            "perhaps illegal-remote-login"
        ],
        "",
    ),
    (
        "LLDOS without its sweep",
        """600 RpcProbe A>T:111
        1200 BufferOverflow A>T:32773
        1800 MalwareInstallation A>T:514
        2400 SynFlood T>X:80 forged""",
        [
            "LLDOS A>TX: sadmind-probe, sadmind-overflow, install-mstream, mstream-flood; "
            "missed host-sweep; goal distributed-denial-of-service"
        ],
        "A",
    ),
    (
        "LLDOS, the tool fetched by the victim: whom it fetched it from is the attacker",
        """0 IcmpSweep A>T
        600 RpcProbe A>T:111
        1200 BufferOverflow A>T:32773
        1800 MalwareInstallation T>A:514
        2400 SynFlood T>X:80 forged""",
        [
            "LLDOS A>ATX: host-sweep, sadmind-probe, sadmind-overflow, fetch-mstream, "
            "mstream-flood; goal distributed-denial-of-service"
        ],
        "A",
    ),
    (
        "a web server is broken and the next host attacked from it",
        """0 VersionScan A>T
        60 SqlInjection A>T:80
        120 RemoteShell A>T:80
        180 OutgoingBruteForce T>U:22""",
        [
            "Web attack, shell, lateral movement A>TU: port-scan, web-attack, web-shell, "
            "lateral-movement; goal inside-spread"
        ],
        "A",
    ),
    (
        "the same without the search before it",
        """60 SqlInjection A>T:80
        120 RemoteShell A>T:80
        180 OutgoingBruteForce T>U:22""",
        [
            "Web attack, shell, lateral movement A>TU: web-attack?, web-shell, "
            "lateral-movement; missed port-scan; goal inside-spread"
        ],
        "A",
    ),
    (
        "one attacker, two hosts: one case",
        """0 SynScan A>T
        10 SynScan A>U
        60 SqlInjection A>T:80
        70 SqlInjection A>U:80
        120 RemoteShell A>T:80""",
        [
            "Web attack, shell, lateral movement A>TU: port-scan, web-attack, web-shell",
        ],
        "A",
    ),
]

FALSE_FRIENDS: list[Row] = [
    (
        "five guessers who have nothing to do with each other, and one alert from the host",
        """0 SshBruteForce A>P:22
        10 SshBruteForce B>P:22
        20 SshBruteForce C>P:22
        30 SshBruteForce D>P:22
        40 SshBruteForce E>P:22
        90 OutgoingContact P>X:80 0.5""",
        [],
        "ABCDE",
    ),
    (
        "the same at a server: guesses alone block nobody, whatever the server does",
        """0 SshBruteForce A>T:22
        10 SshBruteForce B>T:22
        20 SshBruteForce C>T:22
        30 SshBruteForce D>T:22
        40 SshBruteForce E>T:22
        90 OutgoingBruteForce T>X:22""",
        [],
        "",
    ),
    (
        "one stranger guesses at a second, which guesses at a third: none is ours",
        """0 SshBruteForce A>X:22
        30 SshBruteForce X>B:22
        60 SshBruteForce B>Y:22""",
        [],
        "",
    ),
    (
        "halves of a scenario by two attackers",
        """0 VersionScan A>T
        60 SqlInjection B>T:80
        120 RemoteShell C>T:80""",
        [],
        "",
    ),
    (
        "two attackers, each with a scenario of his own, at one server",
        """0 VersionScan A>T
        5 VersionScan B>T
        60 SqlInjection A>T:80
        65 SqlInjection B>T:80
        120 RemoteShell A>T:80
        125 RemoteShell B>T:80""",
        [
            "Web attack, shell, lateral movement A>T: port-scan, web-attack, web-shell",
            "Web attack, shell, lateral movement B>T: port-scan, web-attack, web-shell",
        ],
        "AB",
    ),
    (
        "a busy honeypot floods somebody: which of six guessers is behind it, nobody can tell",
        "\n".join(
            f"{n} SynScan {who}>P\n{n + 60} SshBruteForce {who}>P:22"
            for n, who in enumerate("ABCDEF")
        )
        + "\n200 OutgoingFlood P>X:80",
        [],
        "ABCDEF",
    ),
    (
        "own monitoring searches all hosts and tries a wrong password",
        """0 SynScan V>T
        10 SynScan V>U
        60 SshBruteForce V>T:22 0.6
        70 SshBruteForce V>U:22 0.6""",
        [],
        "",
    ),
    (
        "a backup job with an old password, and a stranger's scan before it",
        """0 SynScan A>V
        60 OutgoingBruteForce V>T:22 0.6
        70 OutgoingBruteForce V>U:22 0.6""",
        [],
        "",
    ),
    (
        "a colleague mistypes the password, then logs in and works",
        """0 SshBruteForce A>T:22 0.4""",
        [],
        "",
    ),
    (
        "a SYN flood and, much later, a login of another host",
        """0 SynFlood *>U forged
        60 SpoofedLogin V>T:513 forged""",
        [],
        "",
    ),
    (
        "steps in the wrong order",
        """0 RemoteShell A>T:80
        60 SqlInjection A>T:80
        120 VersionScan A>T""",
        [],
        "",
    ),
    (
        "a scan in somebody's name, forged, and an attack by nobody else",
        """0 SynScan A>T forged
        60 SqlInjection A>T:80 forged
        120 RemoteShell A>T:80 forged""",
        [
            "Web attack, shell, lateral movement A>T: port-scan?, web-attack?, web-shell?",
        ],
        "",
    ),
    (
        "a host attacks itself, as a broken program does",
        """0 SqlInjection A>T:80
        60 RemoteShell A>T:80
        120 SshBruteForce T>T:22""",
        [],
        "",
    ),
]


@pytest.fixture(scope="module")
def joins(worker: PelletWorker) -> Joins:
    found = find_joins(worker.theory)
    assert found is not None
    return found


@pytest.mark.parametrize(("what", "alerts", "told", "who"), [*TRUE, *FALSE_FRIENDS])
def test_a_story_is_told_as_it_was(
    worker: PelletWorker, joins: Joins, what: str, alerts: str, told: list[str], who: str
) -> None:
    core = CorrelationEngine(
        PROFILES, Policy(), origin="correlation@test", reasoner=worker, joins=joins
    )
    seen = alerts_of(alerts)
    outcomes = [o for one in seen for o in core.on_alerts([one], one.end_us + S)]
    assert (telling(outcomes), blocked(outcomes)) == (sorted(told), who), what
