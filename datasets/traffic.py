"""The recipe of the sample traffic: real tools in a network laboratory, one labelled capture each.

``python -m datasets.traffic OUT`` runs every scenario of `SCENARIOS` in network namespaces of its
own (nothing leaves the machine), captures each with tcpdump and writes ``OUT/<name>.pcap.xz`` and
``OUT/manifest.tsv``. Needs tcpdump, nmap, hydra and hping3; the ssh scenarios need sshd and are
left out with a line where it is missing. About five minutes, under 1 MB.

What ships in ``datasets/samples`` was made by this command; `read_manifest` reads it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import lzma
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, fields
from ipaddress import ip_address
from pathlib import Path

from datasets.lab import Lab, LabError, in_sandbox, run_in_sandbox, why_unavailable
from ontology.records import Address

SAMPLES = Path(__file__).with_name("samples")
"""The shipped captures and their manifest."""
NORMAL = "Normal"

ATTACKER, SCANNER, CLIENT, SERVER, UNUSED = (
    "192.0.2.66",
    "192.0.2.67",
    "192.0.2.10",
    "192.0.2.80",
    "198.51.100",  # a /24 routed to the server, where nobody answers but .18
)
STAND_IN, XTERM, FORGED = "192.0.2.20", "192.0.2.90", "192.0.2.199"
"""Hosts that `datasets.traffic_spoof` plays, and an address that nobody has."""
CLIENTS = tuple(f"192.0.2.{last}" for last in (10, 11, 12))
MAX_PACKETS = 12_000
MAX_SECONDS = 40.0
"""A scenario is cut after so much; none needs it all."""
SNAP_BYTES = 1600
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
    several commands are separated by ``&&``. ``PEERS`` is `datasets.traffic_peers`."""
    capture: str = "server"
    """Namespace whose interface is captured; ``hub``: the whole wire."""
    helpers: tuple[tuple[str, str], ...] = ()
    """(namespace, command) of stand-ins that say ``ready`` before the capture begins."""


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


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of ``manifest.tsv``."""

    file: str
    label: str
    attacker: str
    victim: str
    command: str
    sha256: str

    @property
    def attackers(self) -> tuple[Address, ...]:
        """Empty for normal traffic and forged sources."""
        named = [a for a in self.attacker.split(",") if a not in ("", "*")]
        return tuple(ip_address(a) for a in named)


def read_manifest(directory: Path) -> tuple[Sample, ...]:
    """The samples of a directory that ``python -m datasets.traffic`` wrote.

    Raises:
        ValueError: one line that says what is wrong with ``manifest.tsv``.
    """
    path = directory / "manifest.tsv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            wanted = [f.name for f in fields(Sample)]
            if reader.fieldnames != wanted:
                raise ValueError(f"{path}: columns must be {', '.join(wanted)}")
            samples = []
            for row in reader:
                if None in row or None in row.values():
                    raise ValueError(f"{path}:{reader.line_num}: not {len(wanted)} columns")
                if Path(row["file"]).name != row["file"]:
                    raise ValueError(f"{path}:{reader.line_num}: {row['file']!r} leaves the folder")
                samples.append(Sample(**row))
    except OSError as e:
        raise ValueError(f"{path}: {e.strerror}") from e
    return tuple(samples)


def _build(lab: Lab) -> None:
    """Attacker, client and server on one wire; a further /24 is routed to the server."""
    lab.namespace("hub")
    lab.bridge("hub", "br0")
    for name, addresses in (
        ("attacker", [ATTACKER, SCANNER]),
        ("client", list(CLIENTS)),
        ("server", [SERVER]),
    ):
        lab.namespace(name)
        lab.link(name, "eth0", "hub", name)
        lab.attach("hub", name, "br0")
        for address in addresses:
            lab.address(name, "eth0", f"{address}/24")
    lab.address("attacker", "eth0", "2001:db8::42/64")
    lab.address("server", "eth0", "2001:db8::50/64")
    lab.address("server", "lo", f"{UNUSED}.18/32")
    for name in ("attacker", "client"):
        lab.route(name, f"{UNUSED}.0/24", SERVER)
        lab.route(name, "default", SERVER)


def _words(command: str, scratch: Path) -> list[str]:
    replaced: dict[str, list[str]] = {
        "PEERS": [sys.executable, "-m", "datasets.traffic_peers"],
        "SPOOF": [sys.executable, "-m", "datasets.traffic_spoof"],
        "REFUSERS": [sys.executable, "-m", "datasets.traffic_logins"],
        "PASSWORDS": [str(scratch / "passwords")],
        "LARGE": [str(scratch / "large")],
        "SSH": [
            *("ssh", "-i", str(scratch / "key"), "-o", "StrictHostKeyChecking=no"),
            *("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-l", "root"),
        ],
    }
    return [part for word in command.split() for part in replaced.get(word, [word])]


def _prepare(lab: Lab, scratch: Path) -> set[str]:
    """Start the servers; returns the programs that are missing."""
    passwords = "".join(f"password{number}\n" for number in range(60))
    (scratch / "passwords").write_text(passwords, encoding="ascii")
    (scratch / "large").write_bytes((3000).to_bytes(2, "big") + bytes(38))
    for program in ("tcpdump", "nmap", "hydra", "hping3"):
        if shutil.which(program) is None:
            raise LabError(f"the command {program!r} is missing (Debian package {program})")
    peers = lab.popen(
        "server",
        [sys.executable, "-m", "datasets.traffic_peers", "serve", "0.0.0.0"],  # noqa: S104
        stdout=subprocess.PIPE,
    )
    if peers.stdout is None or peers.stdout.readline() != "ready\n":
        raise LabError("the sample servers did not start")
    sshd = shutil.which("sshd")
    if sshd is None:
        return {"ssh"}
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for name in ("key", "hostkey"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(scratch / name)]
        lab.run("server", argv)
    options = (
        ("HostKey", scratch / "hostkey"),
        ("AuthorizedKeysFile", scratch / "key.pub"),
        ("PermitRootLogin", "yes"),
        ("StrictModes", "no"),
        ("UsePAM", "no"),
        ("PidFile", "none"),
        ("MaxStartups", "100"),
    )
    arguments = [part for key, value in options for part in ("-o", f"{key}={value}")]
    lab.run("server", [sshd, "-f", "/dev/null", *arguments])
    return set()


def _needs(scenario: Scenario) -> str:
    return "ssh" if "SSH " in scenario.command or "ssh://" in scenario.command else ""


def _record(lab: Lab, scenario: Scenario, out: Path, scratch: Path) -> Sample:
    raw = scratch / "capture.pcap"
    raw.unlink(missing_ok=True)
    helpers = [
        lab.popen(namespace, _words(command, scratch), stdout=subprocess.PIPE)
        for namespace, command in scenario.helpers
    ]
    for helper in helpers:
        if helper.stdout is None or helper.stdout.readline() != "ready\n":
            raise LabError(f"a stand-in of {scenario.name} did not start")
    interface = "br0" if scenario.capture == "hub" else "eth0"
    tcpdump = lab.popen(
        scenario.capture,
        [
            *("tcpdump", "-n", "-U", "--immediate-mode", "-Z", "root", "-i", interface),
            *("-s", str(SNAP_BYTES), "-c", str(MAX_PACKETS), "-w", str(raw)),
            # IPv6 housekeeping of the namespaces themselves is no part of any scenario.
            "not (icmp6 and multicast)",
        ],
        stderr=subprocess.PIPE,
    )
    if tcpdump.stderr is None or "listening" not in tcpdump.stderr.readline():
        raise LabError("tcpdump did not start")
    running = [
        lab.popen(
            scenario.namespace,
            _words(command, scratch),
            cwd=scratch,  # hydra leaves a hydra.restore where it stands when its time is up
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in scenario.command.split(" && ")
    ]
    deadline = time.monotonic() + MAX_SECONDS
    for process in running:
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
    time.sleep(0.3)  # answers still on the way
    tcpdump.send_signal(signal.SIGINT)
    tcpdump.wait(10)
    for helper in helpers:
        helper.terminate()
        helper.wait(10)
    name = f"{scenario.name}.pcap.xz"
    packed = lzma.compress(raw.read_bytes(), preset=9 | lzma.PRESET_EXTREME)
    (out / name).write_bytes(packed)
    attacker = "2001:db8::42" if ":" in scenario.victim else scenario.attacker
    return Sample(
        file=name,
        label=scenario.label,
        attacker=attacker,
        victim=scenario.victim,
        command=scenario.command,
        sha256=hashlib.sha256(packed).hexdigest(),
    )


def generate(out: Path, only: Collection[str] = ()) -> tuple[Sample, ...]:
    """Run scenarios (inside a sandbox) and write captures and manifest to ``out``.

    ``only``: their names; all by default.

    Raises:
        LabError: a tool is missing or failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    scratch = out / ".scratch"
    scratch.mkdir(exist_ok=True)
    samples = []
    try:
        with Lab() as lab:
            _build(lab)
            missing = _prepare(lab, scratch)
            for scenario in SCENARIOS:
                if only and scenario.name not in only:
                    continue
                if _needs(scenario) in missing:
                    sys.stderr.write(f"{scenario.name}: left out, sshd is missing\n")
                    continue
                samples.append(_record(lab, scenario, out, scratch))
                size = (out / samples[-1].file).stat().st_size
                sys.stderr.write(f"{scenario.name}: {size / 1000:.0f} kB\n")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    with (out / "manifest.tsv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n")
        writer.writerow([f.name for f in fields(Sample)])
        writer.writerows(astuple(sample) for sample in samples)
    return tuple(samples)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m datasets.traffic", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write captures and manifest.tsv to")
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", choices=[s.name for s in SCENARIOS]
    )
    arguments = parser.parse_args(argv)
    if in_sandbox():
        try:
            generate(arguments.out, arguments.only)
        except LabError as e:
            sys.stderr.write(f"datasets.traffic: {e}\n")
            return 1
        return 0
    if reason := why_unavailable():
        sys.stderr.write(f"datasets.traffic: {reason}\n")
        return 1
    command = [sys.executable, "-m", "datasets.traffic", os.fspath(arguments.out.resolve())]
    command += [f"--only={name}" for name in arguments.only]
    with run_in_sandbox(command) as sandbox:
        return sandbox.wait()


if __name__ == "__main__":
    sys.exit(main())
