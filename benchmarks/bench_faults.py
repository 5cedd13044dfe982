"""Random faults during real attacks: every attacker blocked when the fault is over, nobody else?

`python benchmarks/bench_faults.py [--faults 20] [--seed 1] [--at-once 3] [--each 1] [--log FILE]`.
The demo's honeynet in its sandbox, its state on a small file system of its own. A round: fresh
attackers' addresses, each at another honeypot (nmap, then hydra until it is blocked), and ``each``
times as many random faults (`faults.kinds`) at random moments of the attacks. Once the faults are
over each attacker has to be in the kernel's set of all three gateways within `LIMIT_S`, client and
monitor have to reach every honeypot, and `ontoidps status` has to have said what was wrong while it
was. At the end: every verified alert that an analyzer sent is in the archive. Exit 1 if any of it
does not hold.
"""

import argparse
import functools
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from faults.kinds import CLOCKS, FailingWorld, Fault, Victim

from agents.ontology.archive import Archive
from datasets.laboratory.failing_host import build
from datasets.laboratory.network import Lab, run_in_sandbox, why_unavailable
from ontology.fragments import decode
from ontology.records import Alert

BLOCK_S = 40
LIMIT_S = 60.0
"""From the end of a round's last fault to the last block. Messages are sent again after 30 s at
the latest."""
WELL_S = 40.0
"""Until `status` is content again."""
STATE_MIB = 1024
"""More than the bounds of all stores and logs of four nodes together: only a fault fills it."""
FIRST_HOST, HOSTS = 121, 130
WITNESS = """
CREATE TABLE IF NOT EXISTS witness (id INTEGER PRIMARY KEY, content TEXT);
CREATE TRIGGER IF NOT EXISTS witness_sent AFTER INSERT ON outbox
BEGIN INSERT INTO witness (content) VALUES (new.content); END;
"""


@dataclass
class Tally:
    """What was seen of one kind of fault."""

    faults: int = 0
    late: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    block_s: list[float] = field(default_factory=list)


def until(condition: Callable[[], bool], limit_s: float) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


class Trial(Victim):
    """Attacks with faults, and what is asked afterwards."""

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

    def round(self, numbers: list[int], each: int, tallies: dict[str, Tally]) -> list[str]:
        """Attacks with ``each`` faults each; what did not hold."""
        pots = self.world.topology.honeypots
        addresses = self.prepare(numbers)
        attacker = self.world.topology.attacker
        faults: list[Fault] = []
        for place in range(len(numbers)):
            for _ in range(each):
                faults.append(self.draw(self.gateways[place], {f.thing for f in faults}))
        scans = [
            self.world.tool(attacker, "nmap", "-n", "-Pn", "-sS", "-p1-100", "-T4",
                            "-S", address, "-e", attacker.interface, str(pot.ipv4))
            for address, pot in zip(addresses, pots, strict=False)
        ]  # fmt: skip
        began = time.monotonic()
        guessers: dict[int, subprocess.Popen[str]] = {}

        def guess(place: int) -> None:
            words = ["hydra", "-I", "-q", "-t", "4", "-l", "root", "-P", str(self.words)]
            target = f"ftp://{pots[place].ipv4}"
            guessers[place] = self.world.tool(attacker, *words, target)

        said = ""

        def look() -> None:
            nonlocal said
            said += self.status()

        steps: list[tuple[float, Callable[[], None]]] = []
        for fault in faults:
            moment = self.chance.uniform(0.0, 3.0)
            steps.append((moment, fault.begin))
            steps.append((moment + fault.lasts_s, fault.end))
            if fault.shown:
                steps.append((moment + fault.lasts_s - 0.7, look))
        steps += [
            (2.0 + 0.01 * place, functools.partial(guess, place)) for place in range(len(numbers))
        ]
        for moment, step in sorted(steps, key=lambda s: s[0]):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            step()
        over = time.monotonic()
        wrong = []
        what = ", ".join(f"{fault.kind} {fault.where}" for fault in faults)
        waiting = dict(enumerate(addresses))
        next_guess = over + 3.0
        while waiting and time.monotonic() < over + LIMIT_S:
            for place, address in list(waiting.items()):
                if self.blocked(address):
                    for fault in faults[place * each : (place + 1) * each]:
                        tallies[fault.kind].block_s.append(time.monotonic() - over)
                    del waiting[place]
            if time.monotonic() > next_guess:
                # hydra gives up when a fault costs it its connections; a guesser comes again.
                next_guess += 3.0
                for place in waiting:
                    if guessers[place].poll() is not None:
                        guess(place)
            time.sleep(0.1)
        for tool in (*scans, *guessers.values()):
            tool.kill()
            tool.wait()
        for fault in faults:
            tallies[fault.kind].faults += 1
            if fault.shown and not re.search(fault.shown, said):
                tallies[fault.kind].unseen.append(what)
                wrong.append(
                    f"status did not say {fault.shown!r} during {fault.kind} {fault.where} ({what})"
                )
        for place, address in waiting.items():
            for fault in faults[place * each : (place + 1) * each]:
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


def inside(folder: Path, count: int, seed: int, at_once: int, each: int, log: Path | None) -> int:
    chance = random.Random(seed)  # noqa: S311
    tallies: dict[str, Tally] = defaultdict(Tally)
    wrong: list[str] = []
    with Lab() as lab:
        subprocess.run(["mount", "-t", "tmpfs", "clocks", CLOCKS], check=True)
        build(CLOCKS)
        world = FailingWorld(lab, folder, block_s=BLOCK_S)
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
        began, done, attacks = time.monotonic(), 0, 0
        while done < count:
            found = trial.round(list(range(attacks, attacks + at_once)), each, tallies)
            attacks += at_once
            done += at_once * each
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
    print(
        f"{done} faults in {attacks} attacks, {took:.0f} s; {sent} verified alerts sent, "
        f"{len(missing)} lost; {len(wrong)} wrong; seed {seed}"
    )
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--at-once", type=int, choices=(1, 2, 3), default=3)
    parser.add_argument("--each", type=int, choices=(1, 2, 3), default=1, help="faults an attack")
    parser.add_argument("--log", type=Path, help="keep the agents' log here")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside is not None:
        return inside(
            arguments.inside,
            arguments.faults,
            arguments.seed,
            arguments.at_once,
            arguments.each,
            arguments.log,
        )
    if (reason := why_unavailable()) is not None:
        print(f"no network laboratory here: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="ontoidps-") as name:
        words = [sys.executable, __file__, "--inside", name, "--faults", str(arguments.faults)]
        words += ["--seed", str(arguments.seed), "--at-once", str(arguments.at_once)]
        words += ["--each", str(arguments.each)]
        if arguments.log is not None:
            words += ["--log", str(arguments.log.absolute())]
        with run_in_sandbox(words) as process:
            return process.wait()


if __name__ == "__main__":
    sys.exit(main())
