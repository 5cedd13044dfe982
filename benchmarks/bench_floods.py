"""Floods of ten minutes at a honeynet whose stores are full: does anything grow, stall or go blind?

`python benchmarks/bench_floods.py [--seconds 600] [--only KIND] [--together] [--empty] [--active N]
[--log FILE]`. The demo's honeynet in its sandbox. Passwords are guessed once, all agents stop,
every store is filled to its bound (`floods.full_stores`), and the time is taken from start to ready
(all agents run and are connected) and to having caught up (none falls behind). Then guessers in
calm, and one after the other (or ``--together``) the floods of `FLOODS`, each with a guesser from a
new address every 20 s.

Exit 1 if ready took more than 10 s, a guesser needed more than twice the slowest one in calm, an
event loop's 99th percentile of a minute was above 100 ms, an agent was restarted, or memory or disk
grew from the second half of a flood to its end by more than a tenth (and 8 MiB).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from floods.full_stores import fill

from agents.clock import now_us
from agents.commands.status import is_good, link, read_run_files
from agents.demo.world import World
from agents.settings.honeynet import load_settings
from datasets.laboratory.network import Lab, run_in_sandbox, why_unavailable

SENDER = Path(__file__).parent / "floods" / "sender.py"
BLOCK_S = 60
READY_S, LAG_MS, SLOWER, GROWTH, SLACK_MIB = 10.0, 100.0, 2.0, 1.1, 8.0
EVERY_S, LOOK_S = 20.0, 5.0
CALM = 6
ACTIVE = 10_000
"""Blocks in force when it begins, unless ``--active`` says 100,000, as many as a ledger holds."""
FLOODS = {
    "contacts": "1500",
    "telnet slow": "950",
    "telnet fast": "3600",
    "sessions": "500",
    "idle": "300",
}
"""Packets a second: of contacts as in the case, of Telnet 11 and 42 Mbit/s; connections of idle."""


@dataclass
class Seen:
    """What was seen in one flood."""

    sent: int = 0
    block_s: list[float] = field(default_factory=list)
    missed: int = 0
    memory: dict[str, list[float]] = field(default_factory=dict)
    """MiB of each agent, at each look."""
    disk_mib: list[float] = field(default_factory=list)
    took_s: float = 0.0
    lag_ms: dict[str, float] = field(default_factory=dict)
    """The worst of each agent."""
    restarts: int = 0
    said: set[str] = field(default_factory=set)


def until(condition: Callable[[], bool], limit_s: float) -> float | None:
    """Seconds that it took; None: longer than ``limit_s``."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() > begin + limit_s:
            return None
        time.sleep(0.05)
    return time.monotonic() - begin


def disk_mib(folder: Path) -> float:
    """Of all files below it, as they lie on disk."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
    return total / 2**20


class Trial:
    """The honeynet, its guessers and what is looked at."""

    def __init__(self, lab: Lab, world: World, folder: Path) -> None:
        self.lab, self.world = lab, world
        self.state = world.settings.state_dir
        self.words = folder / "passwords.txt"
        self.words.write_text("".join(f"password{n}\n" for n in range(5000)))
        self.gateways = [gateway.namespace for gateway in world.topology.gateways]
        self._guessers = 0

    def agents(self) -> dict[str, dict[str, Any]]:
        found = read_run_files(self.state, now_us())
        return {a["jid"].split("@")[0]: a for node in found for a in node["agents"]}

    def well(self) -> bool:
        found = read_run_files(self.state, now_us())
        return len(found) == len(self.world.settings.node) and all(map(is_good, found))

    def start(self) -> tuple[float | None, float | None]:
        """All launchers; seconds until ready, and until all has been caught up with."""
        begin = time.monotonic()
        for node in self.world.settings.node:
            self.world.start_launcher(node.name)
        ready = until(self.ready, 300)
        print(f"start to ready {ready or float('nan'):.1f} s", flush=True)
        took = self.guess()
        print(f"a guesser at once: blocked after {took or float('nan'):.1f} s", flush=True)
        done = until(self.well, 600)
        return ready, done and time.monotonic() - begin

    def ready(self) -> bool:
        """Whether all agents run and are connected, whatever they still have to do."""
        found = self.agents()
        count = sum(len(node.agents) for node in self.world.settings.node)
        return len(found) == count and all(
            agent["state"] in ("running", "degraded") and link(agent) == "connected"
            for agent in found.values()
        )

    def guess(self) -> float | None:
        """A stranger guesses passwords; seconds until all gateways drop it."""
        attacker = self.world.topology.attacker
        place = self._guessers % len(self.gateways)
        gateway = self.world.topology.gateways[place]
        address = f"192.0.2.{121 + self._guessers % 130}"
        self._guessers += 1
        for words in (
            ["address", "replace", f"{address}/24", "dev", attacker.interface],
            [
                *("route", "replace", str(gateway.honeypot.ipv4)),
                *("via", str(gateway.wan.ipv4), "src", address),
            ],
        ):
            self.lab.run(attacker.namespace, ["ip", *words])
        tool = self.world.tool(
            attacker, "hydra", "-I", "-q", "-t", "4", "-l", "root", "-P", str(self.words),
            f"ftp://{gateway.honeypot.ipv4}",
        )  # fmt: skip
        took = until(
            lambda: all(self.world.kernel_blocks(name, address) for name in self.gateways), 30
        )
        tool.kill()
        tool.wait()
        self.lab.run(
            attacker.namespace, ["ip", "address", "del", f"{address}/24", "dev", attacker.interface]
        )
        return took

    def sender(self, kind: str, seconds: float) -> subprocess.Popen[str]:
        """The flood's process."""
        topology = self.world.topology
        # The attackers are on other machines: here they get what agents leave of the processors.
        words = ["nice", "-n", "15", sys.executable, str(SENDER), kind.split()[0], str(seconds)]
        where = topology.attacker.namespace
        if kind == "idle":
            where = topology.control.namespace
            host, _, port = self.world.settings.console.listen.rpartition(":")
            words += [host, port, FLOODS[kind]]
        else:
            wan = topology.gateways[0].wan
            shown = self.lab.run(wan.namespace, ["ip", "-j", "link", "show", wan.interface])
            [device] = json.loads(shown.stdout)
            mac = str(device["address"])
            pot = str(topology.gateways[0].honeypot.ipv4)
            words += [topology.attacker.interface, mac, pot, "192.0.2.90", FLOODS[kind]]
        return self.lab.popen(where, words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def look(self, seen: Seen) -> None:
        """Memory, disk, lag and conditions as they are now."""
        for name, agent in self.agents().items():
            health = agent["health"]
            if "rss_kib" in health:
                seen.memory.setdefault(name, []).append(health["rss_kib"] / 1024)
                seen.lag_ms[name] = max(seen.lag_ms.get(name, 0.0), health["lag_ms"])
            for condition in health.get("conditions", []):
                seen.said.add(f"{name.split('.')[0]}: {condition['reason']}")
        seen.disk_mib.append(disk_mib(self.state))

    def flood(self, kinds: list[str], seconds: float) -> Seen:
        """Floods at the same time, looked at until the first one ends."""
        seen = Seen()
        before = {name: agent["pid"] for name, agent in self.agents().items()}
        floods = [self.sender(kind, seconds) for kind in kinds]
        begin = time.monotonic()
        next_guess, next_look = begin + 5.0, begin + 60.0
        while all(flood.poll() is None for flood in floods):
            if time.monotonic() >= next_guess and time.monotonic() < begin + seconds - 5:
                next_guess += EVERY_S
                if (took := self.guess()) is None:
                    seen.missed += 1
                else:
                    seen.block_s.append(took)
            if time.monotonic() >= next_look:
                next_look += LOOK_S
                self.look(seen)
            time.sleep(0.1)
        seen.took_s = time.monotonic() - begin
        seen.sent = sum(int(flood.communicate()[0] or 0) for flood in floods)
        self.look(seen)
        after = {name: agent["pid"] for name, agent in self.agents().items()}
        seen.restarts = sum(after.get(name) != pid for name, pid in before.items())
        return seen


def grown(values: list[float]) -> float:
    """MiB by which the end of a flood is above what its first half may let expect."""
    half = values[: max(len(values) // 2, 1)]
    return values[-1] - max(half) * GROWTH - SLACK_MIB


def judge(kind: str, seen: Seen, calm_s: float) -> list[str]:
    """What did not hold."""
    wrong = []
    if seen.missed or not seen.block_s:
        wrong.append(f"{seen.missed} guessers not blocked, {len(seen.block_s)} blocked")
    elif max(seen.block_s) > SLOWER * calm_s:
        wrong.append(f"a guesser blocked after {max(seen.block_s):.1f} s, in calm {calm_s:.1f} s")
    for name, lag in seen.lag_ms.items():
        if lag > LAG_MS:
            wrong.append(f"{name}: event loop {lag:.0f} ms late")
    for name, values in (*seen.memory.items(), ("state", seen.disk_mib)):
        if grown(values) > 0:
            wrong.append(
                f"{name} grew from {max(values[: len(values) // 2]):.0f} to {values[-1]:.0f} MiB"
            )
    if seen.restarts:
        wrong.append(f"{seen.restarts} agents restarted")
    return [f"{kind}: {line}" for line in wrong]


def report(kind: str, seen: Seen) -> None:
    """A flood, in lines."""
    times = sorted(seen.block_s) or [float("nan")]
    worst = max(seen.lag_ms.items(), key=lambda pair: pair[1], default=("", 0.0))
    print(
        f"{kind:<12} {seen.sent:>9} sent, {seen.sent / max(seen.took_s, 1.0):.0f} a second  "
        f"guessers {len(seen.block_s)} blocked, {seen.missed} missed: "
        f"p50 {times[len(times) // 2]:.2f} s, worst {times[-1]:.2f} s  "
        f"lag p99 {worst[1]:.0f} ms ({worst[0]})  restarts {seen.restarts}"
    )
    total = [sum(row) for row in zip(*seen.memory.values(), strict=False)] or [0.0]
    print(
        f"{'':<12} memory of all agents {total[0]:.0f} MiB after a minute, {max(total):.0f} at "
        f"most, {total[-1]:.0f} at the end; disk {seen.disk_mib[0]:.0f}, {max(seen.disk_mib):.0f}, "
        f"{seen.disk_mib[-1]:.0f} MiB"
    )
    for line in sorted(seen.said)[:12]:
        print(f"{'':<12} said: {line[:150]}")
    sys.stdout.flush()


def inside(
    folder: Path,
    seconds: float,
    kinds: list[str],
    together: bool,
    empty: bool,
    active: int,
    log: Path | None,
) -> int:
    """In the sandbox."""
    wrong: list[str] = []
    with Lab() as lab:
        world = World(lab, folder, block_s=BLOCK_S)
        # A page on a port, for connections to be held.
        text = world.file.read_text()
        socket = world.settings.console.listen
        world.file.write_text(text.replace(f'listen = "{socket}"', 'listen = "127.0.0.1:8080"'))
        world.settings = load_settings(world.file)
        trial = Trial(lab, world, folder)
        world.start()
        if until(trial.well, 90) is None:
            print("did not come up", file=sys.stderr)
            return 1
        if not empty:
            trial.guess()
            time.sleep(5)
            world.stop()
            filled = fill(world.settings, "control", trial.gateways, now_us(), active)
            print("filled: " + ", ".join(f"{name} {count}" for name, count in filled.items()))
            print(f"state {disk_mib(trial.state):.0f} MiB", flush=True)
            ready, done = trial.start()
            print(f"caught up after {done or float('nan'):.1f} s", flush=True)
            if ready is None or ready > READY_S:
                wrong.append(f"start to ready {ready} s")
        time.sleep(10)
        calm = [took for _ in range(CALM) if (took := trial.guess()) is not None]
        print(f"calm: guessers blocked after {', '.join(f'{s:.2f}' for s in calm)} s", flush=True)
        for part in [kinds] if together else [[kind] for kind in kinds]:
            seen = trial.flood(part, seconds)
            name = " + ".join(part)
            report(name, seen)
            wrong += judge(name, seen, max(calm, default=0.0))
            time.sleep(10)
        codes = world.stop()
        if log is not None:
            log.write_bytes(world.log.read_bytes())
    if any(codes):
        wrong.append(f"launchers' exit codes {codes}")
    for line in wrong:
        print(f"WRONG {line}")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="of each flood; 90 at least")
    parser.add_argument("--only", choices=sorted(FLOODS), action="append")
    parser.add_argument("--together", action="store_true", help="all of them at the same time")
    parser.add_argument("--empty", action="store_true", help="leave the stores as they are")
    parser.add_argument("--active", type=int, default=ACTIVE, help="blocks in force")
    parser.add_argument("--log", type=Path, help="keep the agents' log here")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    kinds = arguments.only or list(FLOODS)
    if arguments.inside is not None:
        return inside(
            arguments.inside,
            arguments.seconds,
            kinds,
            arguments.together,
            arguments.empty,
            arguments.active,
            arguments.log,
        )
    if (reason := why_unavailable()) is not None:
        print(f"no network laboratory here: {reason}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="ontoidps-") as name:
        words = [sys.executable, __file__, "--inside", name, "--seconds", str(arguments.seconds)]
        for kind in kinds:
            words += ["--only", kind]
        if arguments.together:
            words.append("--together")
        if arguments.empty:
            words.append("--empty")
        words += ["--active", str(arguments.active)]
        if arguments.log is not None:
            words += ["--log", str(arguments.log.absolute())]
        with run_in_sandbox(words) as process:
            return process.wait()


if __name__ == "__main__":
    sys.exit(main())
