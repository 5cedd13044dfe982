"""Who runs what in the sample traffic: `datasets.recipe.traffic` carries it out."""

from __future__ import annotations

from dataclasses import dataclass

NORMAL = "Normal"

ATTACKER, SCANNER, CLIENT, SERVER, UNUSED = (
    "192.0.2.66",
    "192.0.2.67",
    "192.0.2.10",
    "192.0.2.80",
    "198.51.100",  # a /24 routed to the server, where nobody answers but .18
)
LIVING = "203.0.113"
"""Another /24 behind the server: each of its addresses answers as the server does."""
STAND_IN, XTERM, FORGED = "192.0.2.20", "192.0.2.90", "192.0.2.199"
"""Hosts that `datasets.recipe.spoof` plays, and an address that nobody has."""
CLIENTS = tuple(f"192.0.2.{last}" for last in (10, 11, 12))
FLOOD_PACKETS = 3000


@dataclass(frozen=True, slots=True)
class Scenario:
    """One capture: who runs what."""

    name: str
    label: str
    """`NORMAL` or a local name of an attack class in ``ontoidps.owl``."""
    attacker: str
    """Address; several joined by commas; ``*`` where sources are forged or reflectors."""
    victim: str
    """Address, or the network of a sweep."""
    namespace: str
    command: str
    """Words split at blanks, run in ``namespace`` at once with the scenario's other commands;
    several commands are separated by ``&&``. ``PEERS`` is `datasets.recipe.peers`."""
    capture: str = "server"
    """Namespace whose interface is captured; ``hub``: the whole wire."""
    helpers: tuple[tuple[str, str], ...] = ()
    """(namespace, command) of stand-ins that say ``ready`` before the capture begins."""
    daemons: tuple[tuple[str, str], ...] = ()
    """The same of other programs, which have a second to begin."""
    neighbours: bool = False
    """Whether IPv6 neighbour discovery is captured as well."""


def _nmap(name: str, label: str, options: str, victim: str = SERVER) -> Scenario:
    command = f"nmap -n --max-retries 1 {options} {victim}"
    return Scenario(
        name, label, SCANNER if "-S" in options else ATTACKER, victim, "attacker", command
    )


def _flood(name: str, label: str, options: str, attacker: str = ATTACKER) -> Scenario:
    command = f"hping3 -q -c {FLOOD_PACKETS} -i u500 {options} {SERVER}"
    return Scenario(name, label, attacker, SERVER, "attacker", command)


def _users(act: str) -> Scenario:
    command = " && ".join(
        f"PEERS {act} {SERVER} {source} --seed {seed}" for seed, source in enumerate(CLIENTS)
    )
    return Scenario(f"benign-{act}", NORMAL, "", SERVER, "client", command)


def _guess(
    name: str, label: str, service: str, *helpers: tuple[str, str], tasks: int = 4
) -> Scenario:
    command = f"hydra -I -t {tasks} -l admin -P PASSWORDS {service}"
    return Scenario(name, label, ATTACKER, SERVER, "attacker", command, helpers=helpers)


SCENARIOS: tuple[Scenario, ...] = (
    *(_users(act) for act in ("browse", "ftp", "ask", "mail", "poll", "mistakes")),
    Scenario(
        "benign-ping", NORMAL, "", SERVER, "client", f"hping3 -q -1 -c 20 -i u200000 {SERVER}"
    ),
    Scenario(
        "benign-ssh",
        NORMAL,
        "",
        SERVER,
        "client",
        f"SSH {SERVER} head -c 99999 /dev/urandom && SSH {SERVER} seq 9999 && SSH {SERVER} sleep 3",
    ),
    _nmap("syn-scan", "SynScan", "-sS"),
    _nmap("syn-scan-fast", "SynScan", "-sS -T5 -p 1-600"),
    _nmap("syn-scan-ipv6", "SynScan", "-6 -sS -p 1-400", "2001:db8::50"),
    _nmap("connect-scan", "ConnectScan", "-sT"),
    _nmap("fin-scan", "FinScan", "-sF -F"),
    _nmap("null-scan", "NullScan", "-sN -F"),
    _nmap("xmas-scan", "XmasScan", "-sX -F"),
    _nmap("ack-scan", "AckScan", "-sA -F"),
    # The same packets as -sA: only the scanner reads the answers' windows.
    _nmap("window-scan", "AckScan", "-sW -F"),
    _nmap("maimon-scan", "MaimonScan", "-sM -F"),
    Scenario(
        "idle-scan",
        "IdleScan",
        ATTACKER,
        SERVER,
        "attacker",
        f"nmap -n -Pn --max-retries 1 -sI {STAND_IN}:80 -p 20-60,80 {SERVER}",
        capture="hub",
        helpers=(("client", f"SPOOF stand-in zombie {STAND_IN}"),),
    ),
    Scenario(
        "sequence-sampling",
        "SequencePrediction",
        ATTACKER,
        SERVER,
        "attacker",
        f"hping3 -Q -S -c 15 -i u500000 -p 80 {SERVER}",
    ),
    Scenario(
        "mitnick",
        "SpoofedLogin",
        "*",
        XTERM,
        "attacker",
        f"SPOOF mitnick {ATTACKER} {FORGED} {STAND_IN} {XTERM}",
        capture="hub",
        helpers=(
            ("client", f"SPOOF stand-in silent {STAND_IN}"),
            ("server", f"SPOOF stand-in xterm {XTERM} --trusted {STAND_IN}"),
        ),
    ),
    Scenario(
        "arp-spoof",
        "ArpSpoofing",
        ATTACKER,
        SERVER,
        "attacker",
        f"SPOOF arp-spoof {ATTACKER} {SERVER} {CLIENT}",
        capture="hub",
    ),
    Scenario(
        "benign-arp",
        NORMAL,
        "",
        SERVER,
        "client",
        f"SPOOF arp-changes && ping -q -c 3 {SERVER}",
        capture="hub",
    ),
    _nmap("udp-scan", "UdpScan", "-sU -T5 --min-rate 100 -F"),
    _nmap("version-scan", "VersionScan", "-sV -T4 -p 21,25,53,80,123,502"),
    _nmap("protocol-scan", "ProtocolScan", "-sO -T4 -p 0-60"),
    _nmap("icmp-sweep", "IcmpSweep", "-sn -PE --disable-arp-ping", f"{UNUSED}.0/25"),
    _nmap("tcp-sweep", "TcpSweep", "-sS -Pn -p 22", f"{UNUSED}.0/25"),
    _nmap("udp-sweep", "UdpSweep", "-sU -Pn -p 161", f"{UNUSED}.0/26"),
    _nmap("arp-sweep", "ArpSweep", "-sn -PR", "192.0.2.0/25"),
    _guess("ftp-guess", "FtpBruteForce", f"ftp://{SERVER}"),
    _guess("http-guess", "HttpBruteForce", f"http-get://{SERVER}/private/"),
    _guess(
        "form-guess",
        "HttpBruteForce",
        f"http-post-form://{SERVER}/login:user=^USER^&password=^PASS^:F=<p>",
    ),
    _guess("mail-guess", "MailBruteForce", f"smtp://{SERVER}"),
    *(
        _guess(f"{name}-guess", label, f"{name}://{SERVER}", ("server", f"REFUSERS {SERVER}"))
        for name, label in (
            ("telnet", "TelnetBruteForce"),
            ("pop3", "MailBruteForce"),
            ("imap", "MailBruteForce"),
            ("mysql", "DatabaseBruteForce"),
            ("postgres", "DatabaseBruteForce"),
        )
    ),
    _guess("ssh-guess", "SshBruteForce", f"ssh://{SERVER}"),
    _flood("syn-flood", "SynFlood", "-S -p 80"),
    _flood("syn-flood-forged", "SynFlood", "-S -p 80 --rand-source", "*"),
    _flood("udp-flood", "UdpFlood", "-2 -p 7777 -d 64"),
    _flood("udp-flood-forged", "UdpFlood", "-2 -p 7777 -d 64 --rand-source", "*"),
    _flood("icmp-flood", "IcmpFlood", "-1 -d 64"),
    _flood("ack-flood", "AckFlood", "-A -p 80"),
    Scenario(
        "amplification",
        "AmplificationFlood",
        "*",
        CLIENT,
        "attacker",
        # The first two bytes of the payload ask the server's DNS stand-in for 3000 bytes.
        f"hping3 -q -2 -c 400 -i u5000 -a {CLIENT} -p 53 -d 40 -E LARGE {SERVER}",
        capture="client",
    ),
    *(
        Scenario(
            f"web-{act}",
            label,
            ATTACKER,
            SERVER,
            "attacker",
            f"PEERS {act} {SERVER} {ATTACKER}",
        )
        for act, label in (
            ("sql", "SqlInjection"),
            ("xss", "CrossSiteScripting"),
            ("traversal", "PathTraversal"),
            ("command", "CommandInjection"),
        )
    ),
)
