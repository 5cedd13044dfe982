"""The whole honeynet of the demo, in its sandbox: what it costs idle, and how fast a block comes.

`python benchmarks/bench_honeynet.py [--runs 20] [--load 8] [--cold]`. Each run is a fresh attacker
(nmap, then hydra) on one honeypot; the time goes from the first packet of the password attack to
the nftables element on the last of three gateways, as `nft monitor` tells it. Parts: detect (to the
analyzer's alert), reason (to the incident), order (to the supervisor's orders), enforce (to the
last kernel). With ``--load N`` the runs, not the idle part, go beside N busy loops at ordinary
priority, each in a session of its own; with ``--cold`` the loops come first, and one attack as soon
as the agents are up, so that the reasoner's JVM starts under load.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from agents.console.client import ConsoleClient
from agents.demo.world import World
from datasets.laboratory.network import Lab, run_in_sandbox, why_unavailable

IDLE_S = 20.0
LOAD_LIMIT_S = 300.0
PASSWORDS = 64
LINE = re.compile(r"^(\S+ \S+) (\S+) \w+ [\w.]+: (.*)$")


def processes() -> dict[int, tuple[float, int, str]]:
    """(CPU seconds, PSS KiB, command) of every process of the sandbox but this one's tools."""
    ticks = os.sysconf("SC_CLK_TCK")
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            if not re.search(
                r"ontoidps-(agent|forks)|agents\.main|ontology\.reasoner|prosody", command
            ):
                continue
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            rollup = (entry / "smaps_rollup").read_text()
        except OSError:
            continue
        pss = int(re.search(r"^Pss:\s+(\d+)", rollup, re.M)[1])  # type: ignore[index]
        found[int(entry.name)] = ((int(fields[11]) + int(fields[12])) / ticks, pss, command)
    return found


def idle(seconds_long: float) -> dict[str, Any]:
    before = processes()
    time.sleep(seconds_long)
    after = processes()
    cpu = sum(after[pid][0] - before[pid][0] for pid in after if pid in before)
    return {
        "processes": len(after),
        "cpu_percent": 100 * cpu / seconds_long,
        "pss_mib": sum(pss for _, pss, _ in after.values()) / 1024,
        "each": sorted(
            (
                (
                    re.sub(r"ontoidps-agent (\w+) (\w+).*", r"\1.\2", command)[-40:],
                    round(100 * (seconds - before[pid][0]) / seconds_long, 2),
                    pss // 1024,
                )
                for pid, (seconds, pss, command) in after.items()
                if pid in before
            ),
            key=lambda row: -row[2],
        ),
    }


class Load:
    """Busy loops at ordinary priority. They end by themselves if nobody ends them."""

    def __init__(self, count: int) -> None:
        code = f"import time\nend = time.monotonic() + {LOAD_LIMIT_S}\n"
        code += "while time.monotonic() < end: sum(range(10000))"
        self._loops = [
            subprocess.Popen([sys.executable, "-I", "-c", code], start_new_session=True)
            for _ in range(count)
        ]

    def end(self) -> None:
        """Each by its own process."""
        for loop in self._loops:
            loop.kill()
            loop.wait()


class Monitor:
    """`nft monitor` on one gateway: address -> microseconds when its element came."""

    def __init__(self, lab: Lab, gateway: str) -> None:
        self.seen: dict[str, int] = {}
        self._process = lab.popen(
            gateway, ["nft", "monitor", "new", "elements"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            now = time.time_ns() // 1000
            for address in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", line):
                self.seen.setdefault(address, now)


def move(lab: Lab, world: World, address: str) -> None:
    """The attacker gets another address, as if it were somebody else."""
    host = world.topology.attacker
    lab.run(host.namespace, ["ip", "address", "flush", "dev", host.interface, "scope", "global"])
    lab.address(host.namespace, host.interface, f"{address}/24")
    for gateway in world.topology.gateways:
        network = ip_interface(f"{gateway.lan.ipv4}/28").network
        lab.run(
            host.namespace,
            ["ip", "route", "replace", str(network), "via", str(gateway.wan.ipv4)],
        )


def log_times(log: Path, address: str) -> dict[str, int]:
    """When each agent first said that it had done its part, from the agents' log."""
    marks = {
        "alert": re.compile(rf"FtpBruteForce from {re.escape(address)} "),
        "incident": re.compile(rf"ScanThenBruteForceIncident from {re.escape(address)},"),
        "decision": re.compile(rf"decision \S+ block {re.escape(address)}: blocked"),
    }
    times: dict[str, int] = {}
    for line in log.read_text(errors="replace").splitlines():
        if (found := LINE.match(line)) is None:
            continue
        for name, mark in marks.items():
            if name not in times and mark.search(found[3]):
                moment = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S,%f").replace(tzinfo=UTC)
                times[name] = int(moment.timestamp() * 1000) * 1000
    return times


def first_packet(world: World, address: str) -> int:
    """Begin of the password attack, from the sensor's own packet times."""
    with ConsoleClient(world.settings) as console:
        begins = [
            seen["alert"]["begin_us"]
            for seen in console.alerts(limit=500)
            if seen["alert"]["source"] == address
            and seen["alert"]["classification"] == "FtpBruteForce"
        ]
    return int(min(begins))


def one(lab: Lab, world: World, monitors: list[Monitor], address: str) -> dict[str, float]:
    move(lab, world, address)
    pot = str(world.topology.honeypots[0].ipv4)
    scan = world.tool(world.topology.attacker, "nmap", "-n", "-Pn", "-sS", "-p1-200", "-T4", pot)
    scan.wait(60)
    time.sleep(1.0)
    words = str(world.file.with_name("passwords.txt"))
    guess = world.tool(
        world.topology.attacker, "hydra", "-I", "-q", "-t", "16", "-l", "root", "-P", words,
        f"ftp://{pot}",
    )  # fmt: skip
    end = time.monotonic() + 30
    while not all(address in monitor.seen for monitor in monitors):
        if time.monotonic() > end:
            raise RuntimeError(f"{address} was not blocked within 30 s")
        time.sleep(0.01)
    guess.kill()
    guess.wait()
    time.sleep(0.5)
    begin, times = first_packet(world, address), log_times(world.log, address)
    last = max(monitor.seen[address] for monitor in monitors)
    steps = [begin, times["alert"], times["incident"], times["decision"], last]
    names = ("detect", "reason", "order", "enforce")
    parts = {n: (b - a) / 1e6 for n, a, b in zip(names, steps[:-1], steps[1:], strict=True)}
    return parts | {"total": (last - begin) / 1e6}


def inside(folder: Path, runs: int, load: int, idle_s: float, *, cold: bool) -> None:
    with Lab() as lab:
        busy = Load(load if cold else 0)
        world = World(lab, folder, block_s=3600)
        world.file.with_name("passwords.txt").write_text(
            "".join(f"password{n}\n" for n in range(PASSWORDS))
        )
        world.start()
        end = time.monotonic() + 90
        while not registered(world):
            if time.monotonic() > end:
                raise RuntimeError("the agents did not come up")
            time.sleep(0.2)
        out: dict[str, Any] = {"runs": []}
        if not cold:
            time.sleep(3.0)
            out["idle"] = idle(idle_s)
        monitors = [Monitor(lab, g.namespace) for g in world.topology.gateways]
        if not cold:
            busy = Load(load)
        try:
            for number in range(runs):
                out["runs"].append(one(lab, world, monitors, f"192.0.2.{130 + number}"))
        finally:
            busy.end()
        world.stop()
    print(json.dumps(out))


def registered(world: World) -> bool:
    try:
        with ConsoleClient(world.settings) as console:
            found = [agent["state"] for agent in console.agents()]
            return found == ["up"] * len(list(world.settings.agents()))
    except RuntimeError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--load", type=int, default=0, help="busy loops beside the runs")
    parser.add_argument(
        "--cold", action="store_true", help="load first; one run as soon as the agents are up"
    )
    parser.add_argument("--idle", type=float, default=IDLE_S, help="seconds of the idle part")
    parser.add_argument("--inside", type=Path)
    arguments = parser.parse_args()
    if arguments.inside is not None:
        inside(
            arguments.inside,
            arguments.runs,
            arguments.load,
            arguments.idle,
            cold=arguments.cold,
        )
        return 0
    if (reason := why_unavailable()) is not None:
        print(f"bench_honeynet: not here: {reason}")
        return 0
    with tempfile.TemporaryDirectory(prefix="ontoidps-bench-") as folder:
        words = [sys.executable, __file__, "--inside", folder]
        words += [
            "--runs",
            "1" if arguments.cold else str(arguments.runs),
            "--load",
            str(arguments.load),
        ]
        words += ["--idle", str(arguments.idle), *(["--cold"] if arguments.cold else [])]
        with run_in_sandbox(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            said, _ = process.communicate(timeout=900)
        if process.returncode:
            return int(process.returncode)
    found = json.loads(said)
    if (rest := found.get("idle")) is not None:
        cpu = f"{rest['cpu_percent']:.1f} % of a core"
        print(f"idle, {arguments.idle:.0f} s: {rest['processes']} processes, {cpu}")
        print(f"memory (PSS, shared pages counted once): {rest['pss_mib']:.0f} MiB\n")
        print(f"{'process':<42}{'CPU %':>8}{'PSS MiB':>9}")
        for name, cpu, pss in rest["each"]:
            print(f"{name:<42}{cpu:>8.2f}{pss:>9}")
    print(
        f"\nfirst password packet to block on all gateways, {len(found['runs'])} runs beside "
        f"{arguments.load} busy loops, seconds"
    )
    print(f"{'part':<10}{'p50':>8}{'p95':>8}{'max':>8}")
    for name in ("detect", "reason", "order", "enforce", "total"):
        values = sorted(run[name] for run in found["runs"])
        p95 = values[min(len(values) - 1, int(0.95 * len(values)))]
        print(f"{name:<10}{statistics.median(values):>8.3f}{p95:>8.3f}{values[-1]:>8.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
