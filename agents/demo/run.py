"""The run of the demo inside the sandbox: attack, watch, and record what was really observed.

``python -m agents.demo.run FOLDER [--once]``; exit 0 only if every line of the final table holds.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from agents.console.client import ConsoleClient, ConsoleError
from agents.demo.world import World
from datasets.laboratory.network import Lab, LabError

BLOCK_S = 20
START_LIMIT_S = 90.0
BLOCK_LIMIT_S = 60.0
PASSWORDS = 60
Json = dict[str, Any]
POLL_S = 0.2


class Timeline:
    """Lines with the seconds since the start, on the terminal as things happen."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._colour = sys.stdout.isatty()

    def seconds(self) -> float:
        return time.monotonic() - self._start

    def say(self, what: str, *, mark: str = " ") -> None:
        """Marks: ``!`` attack, ``*`` alert, ``#`` block, ``+`` proof, ``-`` failure."""
        codes = {"!": "31", "*": "33", "#": "35", "+": "32", "-": "1;31"}
        line = f"{self.seconds():6.1f} s {mark} {what}"
        if self._colour and mark in codes:
            line = f"\x1b[{codes[mark]}m{line}\x1b[0m"
        print(line, flush=True)


class DemoRun:
    """One run; `proofs` fills with (what, was it observed)."""

    def __init__(self, world: World, timeline: Timeline) -> None:
        self._world = world
        self._timeline = timeline
        self._console: ConsoleClient | None = None
        self.proofs: list[tuple[str, bool]] = []
        self._seen: set[str] = set()

    def _prove(self, what: str, held: bool) -> None:
        self.proofs.append((what, held))
        self._timeline.say(what, mark="+" if held else "-")

    def _until(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Poll, and report to the timeline what the supervisor learnt meanwhile."""
        end = time.monotonic() + limit_s
        while True:
            self._report_news()
            if condition():
                return True
            if (word := self._world.dead_launcher()) is not None:
                raise LabError(f"a launcher ended: {word}")
            if time.monotonic() > end:
                return False
            time.sleep(POLL_S)

    def _ask(self, what: Callable[[ConsoleClient], list[Json]]) -> list[Json]:
        try:
            if self._console is None:
                self._console = ConsoleClient(self._world.settings)
            return what(self._console)
        except ConsoleError:
            return []  # the supervisor is not up yet

    def _report_news(self) -> None:
        for seen in reversed(self._ask(lambda console: console.alerts())):
            alert = seen["alert"]
            if self._new(f"{alert['classification']} {alert['source']} {alert['target']}"):
                on = alert["target"] or "many hosts"
                who = f"{alert['classification']} from {alert['source']} on {on}"
                self._timeline.say(f"alert: {who} (confidence {alert['confidence']:.2f})", mark="*")
        for seen in reversed(self._ask(lambda console: console.incidents())):
            incident = seen["incident"]
            if self._new(incident["id"]):
                what = f"{incident['classification']} by rule {incident['rule']}"
                self._timeline.say(f"Pellet inferred {what}", mark="*")
        for block in self._ask(lambda console: console.blocks(state="all")):
            for gateway in block["gateways"]:
                name, state = gateway["gateway"], gateway["state"]
                if self._new(f"{block['id']} {name} {state}"):
                    self._timeline.say(f"{name}: {block['source']} {state}", mark="#")

    def _new(self, key: str) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def run(self) -> bool:
        """Act and observe; True if every proof held."""
        world, topology, say = self._world, self._world.topology, self._timeline.say
        attacker, client, monitor = topology.attacker, topology.client, topology.monitor
        pots = topology.honeypots
        agents = len(list(world.settings.agents()))

        say(f"starting {agents} agents as processes of their own, and an XMPP server")
        world.start()
        up = self._until(lambda: self._agents_up() == agents, START_LIMIT_S)
        self._prove(f"{agents} agents up, registered with the supervisor", up)
        if not up:
            return False
        everyone = all(world.reaches(h, p) for h in (attacker, client, monitor) for p in pots)
        self._prove("before the attack everyone reaches all three honeypots", everyone)

        self._attack()
        gateways = [gateway.namespace for gateway in topology.gateways]
        bad = str(attacker.ipv4)
        blocked = self._until(
            lambda: all(world.kernel_blocks(g, bad) for g in gateways), BLOCK_LIMIT_S
        )
        took = time.monotonic() - self._login_started
        self._prove(
            f"{bad} is in the kernel's block set of {', '.join(gateways)}"
            f" ({took:.1f} s after the first password)",
            blocked,
        )
        if not blocked:
            return False
        self._prove(
            "the attacker reaches no honeypot, also not the two it never touched",
            not any(world.reaches(attacker, pot) for pot in pots),
        )
        self._prove(
            "the innocent client still reaches all three",
            all(world.reaches(client, pot) for pot in pots),
        )
        self._prove(
            f"the allow-listed host ({monitor.ipv4}) attacked as well and still reaches all three",
            all(world.reaches(monitor, pot) for pot in pots),
        )
        self._until(lambda: self._states(bad) == {"active"}, 10.0)
        self._prove("`ontoidps blocks list` says who, where, why and how long", self._listed(bad))
        self._prove("the web page says the same, after a login", self._on_page(bad))

        say(f"waiting for the kernel to end the block ({BLOCK_S} s after it was set)")
        ended = self._until(
            lambda: not any(world.kernel_blocks(g, bad) for g in gateways), BLOCK_S + 15.0
        )
        self._prove("the block ended by itself on every gateway", ended)
        self._prove(
            "the attacker reaches the honeypots again",
            all(world.reaches(attacker, pot) for pot in pots),
        )
        expired = self._until(lambda: self._states(bad) <= {"expired"}, 10.0)
        self._prove("the supervisor's ledger says expired", expired)
        return all(held for _, held in self.proofs)

    def attack_again(self) -> None:
        """Another attack, until the ledger says that its blocks expired."""
        before = len(self._blocks_of(bad := str(self._world.topology.attacker.ipv4)))
        self._attack()
        self._until(
            lambda: len(self._blocks_of(bad)) > before and self._states(bad) == {"expired"}, 90.0
        )

    def _attack(self) -> None:
        world, topology = self._world, self._world.topology
        first = topology.honeypots[0]
        words = self._world.file.with_name("passwords.txt")
        words.write_text("".join(f"password{n}\n" for n in range(PASSWORDS)), encoding="ascii")
        hosts = (topology.attacker, topology.monitor)
        self._timeline.say(
            f"{hosts[0].ipv4} scans {first.ipv4} with nmap; so does {hosts[1].ipv4}", mark="!"
        )
        scans = [
            world.tool(h, "nmap", "-n", "-Pn", "-sS", "-p1-1000", "-T4", str(first.ipv4))
            for h in hosts
        ]
        if not self._until(lambda: all(s.poll() is not None for s in scans), 60.0):
            raise LabError("nmap did not end within 60 s")
        self._timeline.say(f"both try {PASSWORDS} passwords on its FTP server with hydra", mark="!")
        self._login_started = time.monotonic()
        for host in hosts:
            world.tool(
                host, "hydra", "-I", "-q", "-t", "4", "-l", "root", "-P", str(words),
                f"ftp://{first.ipv4}",
            )  # fmt: skip

    def _agents_up(self) -> int:
        return sum(a["state"] == "up" for a in self._ask(lambda console: console.agents()))

    def _blocks_of(self, address: str) -> list[Json]:
        return self._ask(lambda console: console.blocks(state="all", source=address))

    def _states(self, address: str) -> set[str]:
        return {g["state"] for b in self._blocks_of(address) for g in b["gateways"]}

    def _listed(self, address: str) -> bool:
        done = self._world.command("blocks", "list", str(self._world.file))
        print("\n" + "\n".join(f"    {line}" for line in done.stdout.splitlines()) + "\n")
        return (
            done.returncode == 0 and address in done.stdout and "ScanThenBruteForce" in done.stdout
        )

    def _on_page(self, address: str) -> bool:
        """Log in as the page's form does, then read what its script reads."""
        socket = self._world.settings.console.listen.removeprefix("unix:")
        password = (self._world.settings.state_dir / "console-password").read_text().split()[-1]
        transport = httpx.HTTPTransport(uds=socket)
        with httpx.Client(transport=transport, base_url="http://127.0.0.1:8080") as browser:
            form = {"user": "operator", "password": password}
            origin = {"Origin": "http://127.0.0.1:8080"}
            browser.post("/login", data=form, headers=origin)
            page = browser.get("/")
            blocks = browser.get("/api/v1/blocks").json()
            block = next((b for b in blocks if b["source"] == address), None)
            if page.status_code != 200 or block is None:
                return False
            detail = browser.get(f"/api/v1/blocks/{block['id']}").json()
        explanation = "\n".join(str(i["explanation"]) for i in detail["incidents"])
        print("\n" + "\n".join(f"    {line}" for line in explanation.splitlines()) + "\n")
        return "ScanThenBruteForce" in explanation and len(detail["block"]["gateways"]) == 3


def _table(proofs: list[tuple[str, bool]]) -> str:
    return "\n".join(f"  {'yes' if held else 'NO ':<4} {what}" for what, held in proofs)


def main() -> int:
    """Returns 0 if everything was observed."""
    parser = argparse.ArgumentParser(prog="python -m agents.demo.run")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--url", default="")
    arguments = parser.parse_args()
    stopped = Stop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stopped)
    try:
        return _perform(arguments.folder, arguments.url, once=arguments.once)
    except KeyboardInterrupt:
        return 130  # before there was anything to stop
    except BrokenPipeError:
        if stopped.asked:
            return 130  # Ctrl-C reached a tool that was just being fed
        # `ontoidps demo | head`: the reader has seen enough.
        sys.stdout = sys.stderr
        return 141
    except LabError as e:
        if stopped.asked:
            return 130  # the tool that failed was stopped by the same signal
        print(f"ontoidps demo: {' '.join(str(e).split())}", file=sys.stderr)
        return 1


class Stop:
    """Signal handler: SIGTERM ends the demo as Ctrl-C does."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: object) -> None:
        self.asked = True
        raise KeyboardInterrupt


def _perform(folder: Path, url: str, *, once: bool) -> int:
    timeline = Timeline()
    with Lab() as lab:
        world = World(lab, folder, BLOCK_S)
        timeline.say("three gateways with a honeypot each; attacker, client and monitor outside")
        run = DemoRun(world, timeline)
        try:
            good = run.run()
            if not once and good:
                _stay(world, timeline, url)
        except KeyboardInterrupt:
            timeline.say("stopping")
            return 130
        except LabError as e:
            timeline.say(" ".join(str(e).split()), mark="-")
            good = False
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            codes = world.stop()
            timeline.say(f"agents stopped (launchers' exit codes {codes})")
        good &= not any(codes)
    print("\n" + _table(run.proofs))
    if not good:
        print("\n  The agents' log ends:\n")
        lines = world.log.read_text(encoding="utf-8", errors="replace").splitlines()
        print("\n".join(f"    {line}" for line in lines[-25:]))
    return 0 if good else 1


def _stay(world: World, timeline: Timeline, url: str) -> None:
    """Keep the honeynet for the web page until Ctrl-C; Enter attacks again."""
    password = (world.settings.state_dir / "console-password").read_text().split()[-1]
    print(f"\n  The honeynet stays up. Web page: {url}  user: operator  password: {password}")
    print("  Enter: attack again. Ctrl-C: end.\n", flush=True)
    while sys.stdin.readline():
        DemoRun(world, timeline).attack_again()


if __name__ == "__main__":
    sys.exit(main())
