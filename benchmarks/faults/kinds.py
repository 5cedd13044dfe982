"""A honeynet whose disk, clocks, processes and networks can be made to fail, and what fails."""

import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.clock import now_us
from agents.commands.status import is_good, read_run_files
from agents.demo.world import World
from datasets.laboratory.failing_host import environment, make_read_only, make_writable, set_clock
from datasets.laboratory.network import Lab

AGENTS = ("sensor", "analyzer", "reaction")
CENTRAL = ("supervisor", "ontology", "console", "correlation")
CLOCKS = Path("/usr/games")
"""In the sandbox a file system of its own."""
ASIDE = "was damaged, is set aside as"
STEPS_S = (-86_400, -3_600, 3_600, 86_400)


@dataclass
class Fault:
    """One thing that goes wrong, and how it ends."""

    kind: str
    where: str
    thing: str
    """What it is done to: not two things go wrong with it at once."""
    begin: Callable[[], None]
    end: Callable[[], None] = lambda: None
    lasts_s: float = 0.0
    shown: str = ""
    """What `status` has to say meanwhile (a pattern); empty: over before anybody could look."""


class FailingWorld(World):
    """Each node has a clock that can be set, and all one disk that may become read-only."""

    def start_launcher(self, node: str) -> None:
        """As in the demo, on such a host."""
        self.set_clock(node, 0)
        library = CLOCKS / "failing_host.so"
        before = dict(os.environ)
        os.environ |= environment(library, disk=self.settings.state_dir, clock=CLOCKS / node)
        # A folder of the program: every agent may read it, whatever else it gave up.
        os.environ["PYTHONPATH"] = str(CLOCKS)
        try:
            super().start_launcher(node)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def set_clock(self, node: str, ahead_s: int) -> None:
        """Seconds that it is ahead of the right time; negative: behind."""
        set_clock(CLOCKS / node, ahead_s)


class Victim:
    """The honeynet, the faults that can be done to it, and what is asked of it."""

    def __init__(self, lab: Lab, world: FailingWorld, folder: Path, chance: random.Random) -> None:
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
        """As `ontoidps status` has it, which tells for an hour of a file that was set aside."""
        found = read_run_files(self.state, now_us())
        for node in found:
            for agent in node["agents"]:
                rest = [
                    condition
                    for condition in agent["health"].get("conditions", [])
                    if condition["level"] == "degraded" and ASIDE not in condition["reason"]
                ]
                if agent["state"] == "degraded" and not rest:
                    agent["state"] = "running"
        return len(found) == len(self.world.settings.node) and all(map(is_good, found))

    def status(self) -> str:
        return self.world.command("status", str(self.world.file)).stdout

    def blocked(self, address: str) -> bool:
        return all(self.world.kernel_blocks(gateway, address) for gateway in self.gateways)

    # What can go wrong.

    def draw(self, gateway: str, taken: set[str]) -> Fault:
        """A random fault of a thing not ``taken``; those of one host are done to ``gateway`` or to
        the control host."""
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
            self.read_only,
            self.few_descriptors,
            self.damaged,
        ]
        while (fault := self.chance.choice(kinds)(gateway)).thing in taken:
            pass
        return fault

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
        return Fault("killed", agent, agent, lambda: self._signal(agent, signal.SIGKILL))

    def frozen(self, gateway: str) -> Fault:
        agent = self._someone(gateway)
        pid = self._pid(agent)

        def thaw() -> None:
            if pid is not None and Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGCONT)

        return Fault(
            "frozen", agent, agent, lambda: self._signal(agent, signal.SIGSTOP), thaw, 8.0,
            "silent",
        )  # fmt: skip

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
        return Fault("server gone", "control", "server", lambda: self._kill_all(b"prosody.cfg.lua"))

    def no_reasoner(self, gateway: str) -> Fault:
        return Fault("reasoner killed", "control", "reasoner", lambda: self._kill_all(b"java"))

    def flushed(self, gateway: str) -> Fault:
        return Fault(
            "nft flush ruleset", gateway, f"ruleset {gateway}",
            lambda: self._quiet(gateway, "nft", "flush", "ruleset"),
        )  # fmt: skip

    def _quiet(self, namespace: str, *argv: str) -> None:
        self.lab.run(namespace, argv, check=False)

    def no_interface(self, gateway: str) -> Fault:
        """It gets another name, and its own again: down it could lead no attack."""

        def rename(old: str, new: str) -> None:
            self._quiet(gateway, "ip", "link", "set", old, "name", new)

        name = self.world.topology.gateways[0].wan.interface
        return Fault(
            "interface renamed", gateway, f"sensor.{gateway}", lambda: rename(name, "gone0"),
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
        return Fault(
            "clock set", where, "clock", lambda: set_all(step), lambda: set_all(0), 6.0, "clock"
        )

    def disk_full(self, gateway: str) -> Fault:
        """What becomes free meanwhile is taken as well: logs are turned, tables cut."""
        filler = self.state / "filler"
        over = threading.Event()

        def fill() -> None:
            with filler.open("wb", buffering=0) as file:
                while not over.wait(0.1):
                    try:
                        while True:
                            file.write(b"x" * (1 << 12))
                    except OSError:
                        pass

        filling = threading.Thread(target=fill)

        def empty() -> None:
            over.set()
            filling.join()
            filler.unlink()

        return Fault("disk full", "control", "disk", filling.start, empty, 6.0, "(?i)no space|full")

    def read_only(self, gateway: str) -> Fault:
        return Fault(
            "disk read-only", "control", "disk", lambda: make_read_only(self.state),
            lambda: make_writable(self.state), 6.0, "read-only",
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

        return Fault(
            "few descriptors", agent, agent, lambda: limit(str(used)), lambda: limit("1024"), 4.0
        )

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

        return Fault("damaged file", agent, agent, spoil)
