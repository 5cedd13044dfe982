"""Random faults during real attacks: every attacker blocked when the fault is over, nobody else?

`python benchmarks/bench_faults.py [--faults 20] [--seed 1] [--at-once 3] [--log FILE]`. The demo's
honeynet in its sandbox, its state on a small file system of its own. A round: fresh attackers'
addresses, each at another honeypot (nmap, then hydra until it is blocked), and as many random
faults at random moments of the attacks. Once the faults are over each attacker has to be in the
kernel's set of all three gateways within `LIMIT_S`, client and monitor have to reach every
honeypot, and `ontoidps status` has to have said what was wrong while it was. At the end: every
verified alert that an analyzer sent is in the archive. Exit 1 if any of it does not hold.
"""

import argparse
import functools
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.clock import now_us
from agents.commands.status import is_good, read_run_files
from agents.demo.world import World
from agents.ontology.archive import Archive
from datasets.laboratory.network import Lab, run_in_sandbox, why_unavailable
from ontology.fragments import decode
from ontology.records import Alert

BLOCK_S = 40
LIMIT_S = 20.0
"""From the end of the last fault of a round to the last block. A killed agent needs 3 s."""
WELL_S = 40.0
"""Until `status` is content again."""
STATE_MIB = 256
FIRST_HOST, HOSTS = 121, 130
AGENTS = ("sensor", "analyzer", "reaction")
CENTRAL = ("supervisor", "ontology", "console", "correlation")
WITNESS = """
CREATE TABLE IF NOT EXISTS witness (id INTEGER PRIMARY KEY, content TEXT);
CREATE TRIGGER IF NOT EXISTS witness_sent AFTER INSERT ON outbox
BEGIN INSERT INTO witness (content) VALUES (new.content); END;
"""


@dataclass
class Fault:
    """One thing that goes wrong, and how it ends."""

    kind: str
    where: str
    begin: Callable[[], None]
    end: Callable[[], None] = lambda: None
    lasts_s: float = 0.0
    shown: str = ""
    """What `status` has to say meanwhile (a pattern); empty: over before anybody could look."""


@dataclass
class Tally:
    """What was seen of one kind of fault."""

    faults: int = 0
    late: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    block_s: list[float] = field(default_factory=list)


LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
CLOCKS = Path("/usr/games")
"""In the sandbox a file system of its own, below what confined agents may read."""
STEPS_S = (-86_400, -3_600, 3_600, 86_400)


class ClockedWorld(World):
    """Each node has a clock that can be set (libfaketime)."""

    def start_launcher(self, node: str) -> None:
        """As in the demo, with the node's own clock."""
        # libfaketime 0.9.10 takes the end of a sleep, a time on the steady clock, for one on the
        # wall clock.
        (CLOCKS / "sitecustomize.py").write_text(
            "import select, time\ntime.sleep = lambda s: select.select((), (), (), s) and None\n"
        )
        self.set_clock(node, 0)
        words = {
            "LD_PRELOAD": str(LIBRARIES[-1]),
            "FAKETIME_TIMESTAMP_FILE": str(CLOCKS / node),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_CACHE_DURATION": "1",
            "PYTHONPATH": str(CLOCKS),
        }
        before = dict(os.environ)
        os.environ.update(words)
        try:
            super().start_launcher(node)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def set_clock(self, node: str, off_s: int) -> None:
        """Seconds that it is ahead of the right time; negative: behind."""
        new = CLOCKS / f"{node}.new"
        new.write_text(f"{off_s:+d}\n")
        new.replace(CLOCKS / node)


def until(condition: Callable[[], bool], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


class Trial:
    """The honeynet, the faults that can be done to it, and what is asked of it."""

    def __init__(self, lab: Lab, world: ClockedWorld, folder: Path, chance: random.Random) -> None:
        self.lab, self.world, self.folder, self.chance = lab, world, folder, chance
        self.state = world.settings.state_dir
        self.gateways = [gateway.namespace for gateway in world.topology.gateways]
        self.words = folder / "passwords.txt"
        self.words.write_text("".join(f"password{n}\n" for n in range(5000)))

    # What can be asked.

    def agents(self) -> dict[str, dict[str, Any]]:
        found = read_run_files(self.state, now_us())
        return {a["jid"].split("@")[0]: a for node in found for a in node["agents"]}

    def well(self) -> bool:
        found = read_run_files(self.state, now_us())
        return len(found) == len(self.world.settings.node) and all(map(is_good, found))

    def status(self) -> str:
        return self.world.command("status", str(self.world.file)).stdout

    def blocked(self, address: str) -> bool:
        return all(self.world.kernel_blocks(gateway, address) for gateway in self.gateways)

    # What can go wrong.

    def draw(self, gateway: str) -> Fault:
        """A random fault; those of one host are done to ``gateway`` or to the control host."""
        kinds = [
            self.killed,
            self.killed,
            self.clock_set,
            self.clock_set,
            self.frozen,
            self.server_gone,
            self.no_reasoner,
            self.flushed,
            self.no_interface,
            self.disk_full,
            self.few_descriptors,
            self.damaged,
        ]
        return self.chance.choice(kinds)(gateway)

    def _someone(self, gateway: str) -> str:
        role = self.chance.choice(AGENTS + CENTRAL)
        return f"{role}.{gateway if role in AGENTS else 'control'}"

    def _pid(self, agent: str) -> int | None:
        found = self.agents().get(agent, {}).get("pid")
        return int(found) if found else None

    def _signal(self, agent: str, number: signal.Signals) -> None:
        if (pid := self._pid(agent)) is not None:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # another fault of the round was faster

    def killed(self, gateway: str) -> Fault:
        agent = self._someone(gateway)
        return Fault("killed", agent, lambda: self._signal(agent, signal.SIGKILL))

    def frozen(self, gateway: str) -> Fault:
        agent = self._someone(gateway)
        pid = self._pid(agent)

        def thaw() -> None:
            if pid is not None and Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGCONT)

        return Fault(
            "frozen", agent, lambda: self._signal(agent, signal.SIGSTOP), thaw, 8.0, "silent"
        )

    def _commands(self, pattern: bytes) -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if pattern in (process / "cmdline").read_bytes():
                    found.append(int(process.name))
            except OSError:
                continue  # it has just ended
        return found

    def _kill_all(self, pattern: bytes) -> None:
        for pid in self._commands(pattern):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def server_gone(self, gateway: str) -> Fault:
        return Fault("server gone", "control", lambda: self._kill_all(b"prosody.cfg.lua"))

    def no_reasoner(self, gateway: str) -> Fault:
        return Fault("reasoner killed", "control", lambda: self._kill_all(b"java"))

    def flushed(self, gateway: str) -> Fault:
        return Fault(
            "nft flush ruleset", gateway, lambda: self._quiet(gateway, "nft", "flush", "ruleset")
        )

    def _quiet(self, namespace: str, *argv: str) -> None:
        self.lab.run(namespace, argv, check=False)

    def no_interface(self, gateway: str) -> Fault:
        """It gets another name, and its own again: down it could lead no attack."""

        def rename(old: str, new: str) -> None:
            self._quiet(gateway, "ip", "link", "set", old, "name", new)

        name = self.world.topology.gateways[0].wan.interface
        return Fault(
            "interface renamed", gateway, lambda: rename(name, "gone0"),
            lambda: rename("gone0", name), 6.0, f"no interface {name}",
        )  # fmt: skip

    def clock_set(self, gateway: str) -> Fault:
        """By an hour or a day, of one host or of all, and back."""
        nodes = [node.name for node in self.world.settings.node]
        hosts = self.chance.choice([[gateway], ["control"], nodes])
        step = self.chance.choice(STEPS_S)

        def set_all(off_s: int) -> None:
            for node in hosts:
                self.world.set_clock(node, off_s)

        where = f"{'all' if len(hosts) > 1 else hosts[0]} {step:+d} s"
        return Fault("clock set", where, lambda: set_all(step), lambda: set_all(0), 6.0, "clock")

    def disk_full(self, gateway: str) -> Fault:
        filler = self.state / "filler"

        def fill() -> None:
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * (1 << 16))
                except OSError:
                    pass
                try:
                    while True:
                        file.write(b"x")
                except OSError:
                    pass

        return Fault(
            "disk full", "control", fill, lambda: filler.unlink(missing_ok=True), 6.0,
            "(?i)no space|full",
        )  # fmt: skip

    def few_descriptors(self, gateway: str) -> Fault:
        agent = self._someone(gateway)
        pid = self._pid(agent)
        if pid is None:
            return self.killed(gateway)
        used = len(os.listdir(f"/proc/{pid}/fd"))

        def limit(soft: str) -> None:
            subprocess.run(
                ["prlimit", "--pid", str(pid), f"--nofile={soft}:"], check=False,
                stderr=subprocess.DEVNULL,
            )  # fmt: skip

        return Fault("few descriptors", agent, lambda: limit(str(used)), lambda: limit("1024"), 4.0)

    def damaged(self, gateway: str) -> Fault:
        """Bytes of one of an agent's files are overwritten while it is dead."""
        agent = self._someone(gateway)

        def spoil() -> None:
            home = self.state / f"{agent}@{self.world.settings.domain}"
            files = sorted(
                p for p in home.rglob("*.sqlite3") if p.is_file() and p.name != "mail.sqlite3"
            )
            if (pid := self._pid(agent)) is None or not files:
                return
            self._signal(agent, signal.SIGSTOP)
            victim = self.chance.choice(files)
            size = victim.stat().st_size
            with victim.open("r+b") as file:
                for _ in range(8):
                    file.seek(self.chance.randrange(max(size - 64, 1)))
                    file.write(self.chance.randbytes(64))
            os.kill(pid, signal.SIGKILL)

        return Fault("damaged file", agent, spoil)

    # A round.

    def prepare(self, numbers: list[int]) -> list[str]:
        attacker = self.world.topology.attacker
        addresses = []
        for place, number in enumerate(numbers):
            address = f"192.0.2.{FIRST_HOST + number % HOSTS}"
            gateway = self.world.topology.gateways[place]
            self._quiet(
                attacker.namespace, "ip", "address", "replace", f"{address}/24", "dev",
                attacker.interface,
            )  # fmt: skip
            self.lab.run(
                attacker.namespace,
                ["ip", "route", "replace", str(gateway.honeypot.ipv4), "via",
                 str(gateway.wan.ipv4), "src", address],
            )  # fmt: skip
            addresses.append(address)
        return addresses

    def round(self, numbers: list[int], tallies: dict[str, Tally]) -> list[str]:
        """Attacks with a fault each; what did not hold."""
        pots = self.world.topology.honeypots
        addresses = self.prepare(numbers)
        attacker = self.world.topology.attacker
        faults = [self.draw(self.gateways[place]) for place in range(len(numbers))]
        scans = [
            self.world.tool(attacker, "nmap", "-n", "-Pn", "-sS", "-p1-100", "-T4",
                            "-S", address, "-e", attacker.interface, str(pot.ipv4))
            for address, pot in zip(addresses, pots, strict=False)
        ]  # fmt: skip
        began = time.monotonic()
        guessers: list[subprocess.Popen[str]] = []

        def guess(place: int) -> None:
            words = ["hydra", "-I", "-q", "-t", "4", "-l", "root", "-P", str(self.words)]
            target = f"ftp://{pots[place].ipv4}"
            guessers.append(self.world.tool(attacker, *words, target))

        moments = [self.chance.uniform(0.0, 3.0) for _ in faults]
        steps: list[tuple[float, Callable[[], None]]] = []
        for fault, moment in zip(faults, moments, strict=True):
            steps.append((moment, fault.begin))
            steps.append((moment + fault.lasts_s, fault.end))
        steps += [
            (2.0 + 0.01 * place, functools.partial(guess, place)) for place in range(len(numbers))
        ]
        said = ""
        looks = [m + f.lasts_s - 0.7 for f, m in zip(faults, moments, strict=True) if f.shown]

        def look() -> None:
            nonlocal said
            said += self.status()

        steps += [(moment, look) for moment in looks]
        for moment, step in sorted(steps, key=lambda s: s[0]):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            step()
        over = time.monotonic()
        wrong = []
        waiting = dict(zip(addresses, faults, strict=True))
        next_guess = over + 3.0
        while waiting and time.monotonic() < over + LIMIT_S:
            for address, fault in list(waiting.items()):
                if self.blocked(address):
                    tallies[fault.kind].block_s.append(time.monotonic() - over)
                    del waiting[address]
            if time.monotonic() > next_guess:
                # hydra gives up when a fault costs it its connections; a guesser comes again.
                next_guess += 3.0
                for place, address in enumerate(addresses):
                    if address in waiting and guessers[place].poll() is not None:
                        guess(place)
                        guessers[place] = guessers.pop()
            time.sleep(0.1)
        for tool in (*scans, *guessers):
            tool.kill()
            tool.wait()
        what = ", ".join(f"{fault.kind} {fault.where}" for fault in faults)
        for fault in faults:
            tallies[fault.kind].faults += 1
            if fault.shown and not re.search(fault.shown, said):
                tallies[fault.kind].unseen.append(what)
                wrong.append(
                    f"status did not say {fault.shown!r} during {fault.kind} {fault.where}"
                )
        for address, fault in waiting.items():
            tallies[fault.kind].late.append(what)
            wrong.append(f"{address} not blocked within {LIMIT_S:.0f} s ({what})")
        topology = self.world.topology
        for host in (topology.client, topology.monitor):
            for pot in pots:
                if not self.world.reaches(host, pot):
                    wrong.append(f"{host.ipv4} does not reach {pot.ipv4} ({what})")
        if not until(self.well, WELL_S):
            wrong.append(f"not well {WELL_S:.0f} s after: {what}\n{self.status()}")
        for address in addresses:
            self._quiet(attacker.namespace, "ip", "address", "del", f"{address}/24", "dev",
                        attacker.interface)  # fmt: skip
        return wrong

    # The account.

    def _mails(self) -> list[Path]:
        domain = self.world.settings.domain
        return [self.state / f"analyzer.{g}@{domain}" / "mail.sqlite3" for g in self.gateways]

    def witness(self) -> None:
        for mail in self._mails():
            with sqlite3.connect(mail) as file:
                file.executescript(WITNESS)

    def lost(self) -> tuple[int, list[str]]:
        """After the stop: verified alerts sent, and those of them that the archive lacks."""
        sent: set[str] = set()
        for mail in self._mails():
            with sqlite3.connect(mail) as file:
                rows = file.execute("SELECT content FROM witness").fetchall()
            for (content,) in rows:
                for record in decode(content) if content.startswith("@") else ():
                    if isinstance(record, Alert) and record.verified_source:
                        sent.add(record.id)
        archive = Archive(self.state / f"ontology.control@{self.world.settings.domain}" / "archive")
        missing = [name for name in sorted(sent) if archive.get(name) is None]
        archive.close()
        return len(sent), missing


def inside(folder: Path, count: int, seed: int, at_once: int, log: Path | None) -> int:
    chance = random.Random(seed)  # noqa: S311
    tallies: dict[str, Tally] = defaultdict(Tally)
    wrong: list[str] = []
    with Lab() as lab:
        subprocess.run(["mount", "-t", "tmpfs", "clocks", CLOCKS], check=True)
        world = ClockedWorld(lab, folder, block_s=BLOCK_S)
        world.settings.state_dir.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={STATE_MIB}m", "state", world.settings.state_dir],
            check=True,
        )
        trial = Trial(lab, world, folder, chance)
        world.start()
        if not until(trial.well, 90):
            print(f"did not come up:\n{trial.status()}", file=sys.stderr)
            return 1
        trial.witness()
        began, done = time.monotonic(), 0
        while done < count:
            numbers = list(range(done, min(done + at_once, count)))
            found = trial.round(numbers, tallies)
            done += len(numbers)
            wrong += found
            for line in found:
                print(f"  WRONG {line}", flush=True)
            print(
                f"{done} faults, {time.monotonic() - began:.0f} s, {len(wrong)} wrong", flush=True
            )
        took = time.monotonic() - began
        codes = world.stop()
        sent, missing = trial.lost()
        if log is not None:
            shutil.copyfile(world.log, log)
    if any(codes):
        wrong.append(f"launchers' exit codes {codes}")
    if missing:
        wrong.append(f"{len(missing)} of {sent} verified alerts lost: {missing[:5]}")
    print(
        f"{'fault':<20} {'times':>6} {'block after its end: p50':>25} {'worst':>7} {'late':>5}"
        f" {'unsaid':>7}"
    )
    for kind, tally in sorted(tallies.items()):
        times = sorted(tally.block_s) or [float("nan")]
        print(
            f"{kind:<20} {tally.faults:>6} {times[len(times) // 2]:>23.1f} s {times[-1]:>5.1f} s "
            f"{len(tally.late):>5} {len(tally.unseen):>7}"
        )
    print(f"{done} faults in {took:.0f} s; {sent} verified alerts sent, {len(missing)} lost; "
          f"{len(wrong)} wrong; seed {seed}")  # fmt: skip
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, choices=(1, 2, 3), default=3)
    parser.add_argument("--log", type=Path, help="keep the agents' log here")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside is not None:
        return inside(
            arguments.inside, arguments.faults, arguments.seed, arguments.at_once, arguments.log
        )
    if not LIBRARIES:
        print("libfaketime is missing (Debian package faketime)", file=sys.stderr)
        return 1
    if (reason := why_unavailable()) is not None:
        print(f"no network laboratory here: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="ontoidps-") as name:
        words = [sys.executable, __file__, "--inside", name, "--faults", str(arguments.faults)]
        words += ["--seed", str(arguments.seed), "--at-once", str(arguments.at_once)]
        if arguments.log is not None:
            words += ["--log", str(arguments.log.absolute())]
        with run_in_sandbox(words) as process:
            return process.wait()


if __name__ == "__main__":
    sys.exit(main())
