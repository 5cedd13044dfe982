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
        "guessed passwords, a program, a bot",
        """0 TelnetBruteForce A>P:23
        60 MalwareInstallation A>P forged
        120 OutgoingScan P>X:23""",
        [
            "Guess, download, bot or miner A>PX: shell-guess, bring-program, attack-others; "
            "goal outbound-attack"
        ],
        "A",
    ),
    (
        "Log4Shell, named by a signature, then a miner",
        """0 CommandInjection A>T:8080 CVE-2021-44228
        60 MalwareInstallation A>T forged
        120 OutgoingBeacon T>X:3333""",
        ["Log4Shell A>TX: jndi-injection, bring-program, call-home"],
        "A",
    ),
    (
        "Docker is told to start a container that attacks others",
        """0 Exploit A>T:2375
        120 OutgoingScan T>X:2375""",
        ["Exposed control interface A>TX: docker-abuse, attack-others; goal outbound-attack"],
        "A",
    ),
    (
        "EternalBlue, then the next host",
        """0 Exploit A>T:445
        60 OutgoingExploit T>U:445""",
        ["SMB exploit, spread A>TU: smb-exploit, attack-others; goal outbound-attack"],
        "A",
    ),
    (
        "ransomware comes in by remote desktop",
        """0 RdpBruteForce A>T:3389
        60 MalwareInstallation A>T forged
        120 OutgoingScan T>U:445""",
        [
            "Ransomware, first steps A>TU: desktop-guess, bring-program, attack-others; "
            "goal outbound-attack"
        ],
        "A",
    ),
    (
        "a camera is made a bot",
        """0 CommandInjection A>T:37215
        120 OutgoingFlood T>X:80""",
        ["Device exploit, bot A>TX: device-exploit, attack-others; goal outbound-attack"],
        "A",
    ),
    (
        "stolen pairs of account and password, and what they open",
        """0 CredentialStuffing A>T:443
        60 IllicitFileTransfer A>T:443""",
        [
            "Credential stuffing A>T: stuff-credentials, account-misuse; goal data-theft",
        ],
        "A",
    ),
    (
        "a host is taken, calls home and carries data out in names",
        """0 RemoteShell A>T:80
        600 OutgoingBeacon T>X:443
        900 OutgoingTunnel T>Y:53/udp""",
        [
            "Compromise, beacon, tunnel A>TXY: host-taken, call-home, tunnel-out; goal data-theft",
        ],
        "A",
    ),
    (
        "a telephone exchange is found, an extension guessed, numbers called",
        """0 SipScan A>T:5060/udp
        60 SipBruteForce A>T:5060/udp
        120 TollFraud A>T:5060/udp""",
        ["SIP abuse A>T: sip-search, sip-guess, toll-calls; goal toll-fraud"],
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
    (
        "a command injection of no known vulnerability, and a server that fetches its updates",
        """0 CommandInjection A>T:443 0.6
        120 OutgoingContact T>X:443 0.4""",
        [],
        "",
    ),
    (
        "one guesses, another one's program runs, the host calls a third",
        """0 SshBruteForce A>T:22
        60 MalwareInstallation B>T forged
        120 OutgoingContact T>X:80 0.5""",
        [],
        "",
    ),
    (
        "guesses at web accounts, and names asked for by another host",
        """0 HttpBruteForce A>T:443 0.5
        600 OutgoingTunnel U>Y:53/udp 0.5""",
        [],
        "",
    ),
    (
        "a telephone exchange is looked for by one, and another one calls",
        """0 SipScan A>T:5060/udp 0.5
        60 TollFraud B>T:5060/udp 0.5""",
        [],
        "",
    ),
    (
        "a research scanner looks at everything and does no more",
        """0 SynScan R>T
        10 VersionScan R>U
        20 VersionScan R>V""",
        [],
        "",
    ),
    (
        "two users behind one provider's NAT guess at two servers",
        """0 SshBruteForce N>T:22 0.5
        60 HttpBruteForce N>U:80 0.5""",
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
