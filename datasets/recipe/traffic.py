"""The recipe of the sample traffic: real tools in a network laboratory, one labelled capture each.

``python -m datasets.recipe.traffic OUT`` runs every scenario of `datasets.recipe.scenario_traffic`
in network namespaces of its own (nothing leaves the machine), captures each with tcpdump and writes
``OUT/<name>.pcap.xz`` and ``OUT/manifest.tsv``. Needs tcpdump, nmap, hydra and hping3; the ssh
scenarios need sshd and are left out with a line where it is missing. About five minutes, under 1
MB.

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

from datasets.laboratory.network import Lab, LabError, in_sandbox, run_in_sandbox, why_unavailable
from datasets.recipe.scenario_traffic import (
    ATTACKER,
    CLIENT,
    CLIENTS,
    LIVING,
    SCANNER,
    SERVER,
    UNUSED,
    Scenario,
)
from datasets.recipe.scenario_traffic import (
    NORMAL as NORMAL,
)
from datasets.recipe.scenario_traffic import (
    SCENARIOS as SCENARIOS,
)
from datasets.recipe.untrained_traffic import UNTRAINED as UNTRAINED
from ontology.records import Address

SAMPLES = Path(__file__).parents[1] / "samples"
"""The shipped captures and their manifest."""
MAX_PACKETS = 12_000
MAX_SECONDS = 40.0
"""A scenario is cut after so much; none needs it all."""
SNAP_BYTES = 1600
CONTAINER = '{"Image":"alpine","Cmd":["sh"],"HostConfig":{"Binds":["/:/mnt"]}}'
"""Asked of Docker: a container that has all of its host's files."""
DNS_TUNNEL = f"""listen = {CLIENT}
port = 53
user = nobody
chroot = /tmp
domain = t.example.org
resources = web:{SERVER}:80
"""
"""dns2tcpd's settings: what comes by way of the client's DNS goes to the server's web pages."""


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
    """The samples of a directory that ``python -m datasets.recipe.traffic`` wrote.

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
    lab.run("server", ["ip", "route", "add", "local", f"{LIVING}.0/24", "dev", "lo"])
    for name in ("attacker", "client"):
        lab.route(name, f"{UNUSED}.0/24", SERVER)
        lab.route(name, "default", SERVER)


def _words(command: str, scratch: Path) -> list[str]:
    replaced: dict[str, list[str]] = {
        "PEERS": [sys.executable, "-m", "datasets.recipe.peers"],
        "SPOOF": [sys.executable, "-m", "datasets.recipe.spoof"],
        "CONTROLLERS": [sys.executable, "-m", "datasets.recipe.controller_stand_ins"],
        "SIP": [sys.executable, "-m", "datasets.recipe.sip_stand_in"],
        "SITE": [sys.executable, "-m", "datasets.recipe.site_stand_in"],
        "SERVICES": [sys.executable, "-m", "datasets.recipe.service_stand_ins"],
        "REFUSERS": [sys.executable, "-m", "datasets.recipe.login_traffic"],
        "PASSWORDS": [str(scratch / "passwords")],
        "LARGE": [str(scratch / "large")],
        "CONTAINER": [f"@{scratch / 'container'}"],
        "DNS2TCPD": [
            # It looks names up that nobody here can tell it.
            *("env", "RES_OPTIONS=timeout:1 attempts:1"),
            *("dns2tcpd", "-F", "-f", str(scratch / "dns2tcpd")),
        ],
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
    (scratch / "container").write_text(CONTAINER, encoding="ascii")
    (scratch / "dns2tcpd").write_text(DNS_TUNNEL, encoding="ascii")
    for program in ("tcpdump", "nmap", "hydra", "hping3"):
        if shutil.which(program) is None:
            raise LabError(f"the command {program!r} is missing (Debian package {program})")
    peers = lab.popen(
        "server",
        [sys.executable, "-m", "datasets.recipe.peers", "serve", "0.0.0.0"],  # noqa: S104
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
    started = [
        lab.popen(
            namespace,
            _words(command, scratch),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for namespace, command in scenario.daemons
    ]
    if started:
        time.sleep(1.0)
    helpers += started
    interface = "br0" if scenario.capture == "hub" else "eth0"
    tcpdump = lab.popen(
        scenario.capture,
        [
            *("tcpdump", "-n", "-U", "--immediate-mode", "-Z", "root", "-i", interface),
            *("-s", str(SNAP_BYTES), "-c", str(MAX_PACKETS), "-w", str(raw)),
            # IPv6 housekeeping of the namespaces themselves is no part of any scenario.
            "" if scenario.neighbours else "not (icmp6 and multicast)",
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
    attacker = scenario.attacker
    if ":" in scenario.victim and attacker not in ("", "*"):
        attacker = "2001:db8::42"
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

    ``only``: their names; by default all of `SCENARIOS`.

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
            for scenario in (*SCENARIOS, *UNTRAINED) if only else SCENARIOS:
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
    parser = argparse.ArgumentParser(prog="python -m datasets.recipe.traffic", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write captures and manifest.tsv to")
    names = [s.name for s in (*SCENARIOS, *UNTRAINED)]
    parser.add_argument("--only", action="append", default=[], metavar="NAME", choices=names)
    arguments = parser.parse_args(argv)
    if in_sandbox():
        try:
            generate(arguments.out, arguments.only)
        except LabError as e:
            sys.stderr.write(f"datasets.recipe.traffic: {e}\n")
            return 1
        return 0
    if reason := why_unavailable():
        sys.stderr.write(f"datasets.recipe.traffic: {reason}\n")
        return 1
    command = [sys.executable, "-m", "datasets.recipe.traffic", os.fspath(arguments.out.resolve())]
    command += [f"--only={name}" for name in arguments.only]
    with run_in_sandbox(command) as sandbox:
        return sandbox.wait()


if __name__ == "__main__":
    sys.exit(main())
