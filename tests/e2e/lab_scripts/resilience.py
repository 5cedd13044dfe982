"""Run inside a sandbox: kill parts of a whole honeynet during attacks, and see the main job done.

One world, one attacker's address a round: nmap starts, the round's victim gets SIGKILL, hydra goes
on until the block. At the end, what the analyzers emitted is held against what arrived.
Prints one JSON object: what was observed.
"""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from agents.clock import now_us
from agents.commands.status import link, read_run_files
from agents.console.client import ConsoleClient, ConsoleError
from agents.correlation.fusion import Key, fusion_key
from agents.demo.world import World
from agents.ontology.archive import Archive
from datasets.laboratory.network import Lab
from datasets.laboratory.topology import WAN4
from ontology.fragments import decode
from ontology.records import Alert

SERVER = "XMPP server"
VICTIMS = (
    SERVER,
    "sensor.gw1",
    "analyzer.gw1",
    "correlation.control",
    "ontology.control",
    "supervisor.control",
    "console.control",
    "reaction.gw2",
)
AT_ONCE = (SERVER, "sensor.gw1", "analyzer.gw1")
"""Killed in the midst of the scan; the others when the first alert is on its way to them."""
FROZEN = "analyzer.gw3"
AGENTS = 13
# The product's own tables stay as they are; every row of an outbox leaves a copy behind, in the
# transaction that stores it, so that the account is exact whenever the process dies.
WITNESS = """
CREATE TABLE IF NOT EXISTS witness (id INTEGER PRIMARY KEY, receiver TEXT, content TEXT);
CREATE TRIGGER IF NOT EXISTS witness_sent AFTER INSERT ON outbox
BEGIN INSERT INTO witness (receiver, content) VALUES (new.receiver, new.content); END;
"""
STAMP = re.compile(r"^(\S+ \S+?),(\d{3}) ")


def until(condition: Callable[[], bool], limit_s: float = 45.0) -> bool:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class Play:
    """The world, and what is asked of it again and again."""

    def __init__(self, lab: Lab, world: World, folder: Path) -> None:
        self.lab, self.world, self.folder = lab, world, folder
        self.state = world.settings.state_dir
        self.gateways = [g.namespace for g in world.topology.gateways]
        self.words = folder / "passwords.txt"
        self.words.write_text("".join(f"password{n}\n" for n in range(5000)))

    def agents(self) -> dict[str, dict[str, Any]]:
        found = read_run_files(self.state, now_us())
        return {a["jid"].split("@")[0]: a for node in found for a in node["agents"]}

    def all_good(self) -> bool:
        """Every agent on the bus, heard by the supervisor and up in its directory."""
        found = self.agents()
        if len(found) != AGENTS or not all(link(a) == "connected" for a in found.values()):
            return False
        try:
            with ConsoleClient(self.world.settings) as console:
                return sum(a["state"] == "up" for a in console.agents()) == AGENTS
        except ConsoleError:
            return False

    def back(self, victim: str, pid: int | None) -> bool:
        """The victim lives again (the run file may still tell of before), and all is well."""
        found = self.agents()
        if victim == SERVER:
            anew = all(a["health"].get("counters", {}).get("link_lost") for a in found.values())
        else:
            anew = found.get(victim, {}).get("pid") not in (None, pid)
        return anew and self.all_good()

    def kill(self, victim: str) -> None:
        if victim != SERVER:
            os.kill(self.agents()[victim]["pid"], signal.SIGKILL)
            return
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
            except OSError:
                continue  # it has just ended
            if b"prosody.cfg.lua" in command:
                os.kill(int(process.name), signal.SIGKILL)

    def blocked(self, address: str) -> bool:
        return all(self.world.kernel_blocks(g, address) for g in self.gateways)

    def told_of(self, address: str) -> bool:
        return any(f"Scan from {address} " in line for line in self.log())

    def log(self) -> list[str]:
        return self.world.log.read_text(errors="replace").splitlines()

    def witness(self, name: str) -> sqlite3.Connection:
        return sqlite3.connect(self.state / f"{name}@{self.world.settings.domain}" / "mail.sqlite3")

    def attack(self, number: int, victim: str, earlier: list[str]) -> dict[str, Any]:
        """One round, on honeypot 1 through gw1, from an address of its own."""
        attacker, pot = self.world.topology.attacker, self.world.topology.honeypots[0]
        address = str(WAN4[130 + number])
        earlier.append(address)
        self.lab.address(attacker.namespace, attacker.interface, f"{address}/{WAN4.prefixlen}")
        route = ["ip", "route", "replace", str(pot.ipv4), "via"]
        route += [str(self.world.topology.gateways[0].wan.ipv4), "src", address]
        self.lab.run(attacker.namespace, route)
        scan = self.world.tool(
            attacker, "nmap", "-n", "-Pn", "-sS", "-p1-300", "--max-rate", "200", str(pot.ipv4)
        )
        if victim in AT_ONCE:
            time.sleep(0.7)
        alerted = victim in AT_ONCE or until(lambda: self.told_of(address), 20)
        pid = None if victim == SERVER else self.agents()[victim]["pid"]
        running = scan.poll() is None
        began = time.monotonic()
        self.kill(victim)
        kept = all(self.blocked(other) for other in earlier[:-1])
        hydra = [
            "hydra", "-I", "-q", "-t", "4", "-l", "root", "-P", str(self.words), f"ftp://{pot.ipv4}"
        ]  # fmt: skip
        brute = self.world.tool(attacker, *hydra)
        blocked = until(lambda: self.blocked(address), 40)
        took = time.monotonic() - began
        brute.terminate()
        scan.terminate()
        brute.wait(10)
        scan.wait(10)
        back = until(lambda: self.back(victim, pid), 40)
        return {
            "killed during the attack": running and alerted,
            "earlier blocks outlived the kill": kept,
            "blocked on all gateways": blocked,
            "all agents came back": back,
            "all blocks in force": all(self.blocked(other) for other in earlier),
            "figures": {
                "blocked after s": round(took, 1),
                "all well after s": round(time.monotonic() - began, 1),
            },
        }

    def freeze(self) -> dict[str, Any]:
        """SIGSTOP: how long until `status` says so?"""
        pid = self.agents()[FROZEN]["pid"]
        began = time.monotonic()
        os.kill(pid, signal.SIGSTOP)
        noticed = until(lambda: self.agents()[FROZEN]["state"] == "silent", 15)
        took = time.monotonic() - began
        status = self.world.command("status", str(self.world.file))
        os.kill(pid, signal.SIGCONT)
        return {
            "noticed": noticed,
            "status said so": status.returncode == 3 and "silent" in status.stdout,
            "came back": until(self.all_good),
            "after s": round(took, 2),
        }

    def back_after_s(self) -> list[float]:
        """Seconds from the server's answer to each agent's new session, by the log."""
        answered, back = None, []
        for line in self.log():
            if "XMPP server answers again" in line:
                answered = _seconds(line)
            elif "on the bus again" in line and answered is not None:
                back.append(round(_seconds(line) - answered, 3))
        return back


def _seconds(line: str) -> float:
    found = STAMP.match(line)
    assert found is not None, line
    return datetime.fromisoformat(found[1]).timestamp() + int(found[2]) / 1000


def account(play: Play) -> dict[str, Any]:
    """After the stop: what the analyzers emitted against archive, journal and fusion."""
    domain = play.world.settings.domain
    emitted: dict[str, Alert] = {}
    sent: dict[str, Counter[str]] = {"correlation": Counter(), "ontology": Counter()}
    for gateway in play.gateways:
        with play.witness(f"analyzer.{gateway}") as mail:
            rows = mail.execute("SELECT receiver, content FROM witness ORDER BY id").fetchall()
        for receiver, content in rows:
            for record in decode(content) if content.startswith("@") else ():
                if isinstance(record, Alert):
                    emitted[record.id] = max(
                        record, emitted.get(record.id, record), key=lambda a: a.count
                    )
                    sent[receiver.split(".")[0]][f"{record.id} {record.count}"] += 1
    with sqlite3.connect(play.state / f"correlation.control@{domain}" / "alerts.sqlite3") as file:
        journal = dict(file.execute("SELECT id, count FROM alert").fetchall())
        undone = file.execute("SELECT count(*) FROM alert WHERE done = 0").fetchone()[0]
    archive = Archive(play.state / f"ontology.control@{domain}" / "archive")
    archived = {}
    for name in emitted:
        record = archive.get(name)
        if isinstance(record, Alert):
            archived[name] = record.count
    archive.close()
    wanted = {name: alert.count for name, alert in emitted.items()}

    # What correlation told of: a senior alert counts what went into it, each junior once.
    total: Counter[Key] = Counter()
    for alert in emitted.values():
        total[fusion_key(alert)] += alert.count
    seniors: dict[str, Alert] = {}
    with play.witness("correlation.control") as mail:
        rows = mail.execute("SELECT content FROM witness ORDER BY id").fetchall()
    for (content,) in rows:
        for record in decode(content) if content.startswith("@") else ():
            if isinstance(record, Alert):
                seniors[record.id] = record
    told: Counter[Key] = Counter()
    for alert in seniors.values():
        told[fusion_key(alert)] += alert.count
    # What was told before its source proved something has been replaced by what is verified.
    for key in told.keys() - total.keys():
        if not key[-1] and (*key[:-1], True) in total:
            del told[key]
    return {
        "alerts were emitted": len(emitted) >= 2 * len(VICTIMS),
        "both subscribers got the same": sent["correlation"] == sent["ontology"],
        "none emitted twice": all(n == 1 for n in sent["correlation"].values()),
        "each in the journal once": journal == wanted,
        "each in the archive once": archived == wanted,
        "each was correlated": undone == 0,
        "fusion counted none twice": bool(told) and all(told[k] <= total[k] for k in told),
        "figures": {
            "emitted": len(emitted),
            "journal": len(journal),
            "archived": len(archived),
            "counted by analyzers": sum(total.values()),
            "told by correlation": sum(told.values()),
            "missing in journal": [n for n in wanted if journal.get(n) != wanted[n]][:5],
            "missing in archive": [n for n in wanted if archived.get(n) != wanted[n]][:5],
            "inflated": [f"{k}: {told[k]} > {total[k]}" for k in told if told[k] > total[k]][:5],
        },
    }


def main(folder: Path) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    began = time.monotonic()
    with Lab() as lab:
        world = World(lab, folder, block_s=900)
        play = Play(lab, world, folder)
        world.start()
        seen["up"] = {"all agents": until(play.all_good, 90)}
        seen["up"]["status"] = world.command("status", str(world.file)).returncode == 0
        for name in ("correlation.control", *(f"analyzer.{g}" for g in play.gateways)):
            with play.witness(name) as mail:
                mail.executescript(WITNESS)
        seen["up"]["figures"] = {"after s": round(time.monotonic() - began, 1)}

        # Somebody flushes a gateway's firewall, too.
        lab.run(play.gateways[2], ["nft", "flush", "ruleset"])
        attackers: list[str] = []
        for number, victim in enumerate(VICTIMS):
            seen[victim] = play.attack(number, victim, attackers)
        seen["frozen"] = play.freeze()
        back = play.back_after_s()
        seen["server's return"] = {"agents": len(back), "slowest s": max(back, default=99.0)}

        listed = world.command("blocks", "list", str(world.file), "--json").stdout
        entries = [json.loads(line) for line in listed.splitlines()]
        active = Counter(e["source"] for e in entries if e["state"] == "active")
        seen["ledger"] = {
            "one block an attacker": active == Counter(attackers),
            "all confirmed": world.command(
                "blocks", "list", str(world.file)
            ).stdout.count("gw1 gw2 gw3 active") == len(attackers),
        }  # fmt: skip
        lifted = world.command("blocks", "lift", str(world.file), attackers[0], "--reason", "test")
        seen["ledger"]["lift"] = lifted.returncode == 0
        seen["ledger"]["lifted everywhere"] = until(
            lambda: not any(world.kernel_blocks(g, attackers[0]) for g in play.gateways)
        )
        audit = world.command("blocks", "list", str(world.file), "--state", "lifted", "--json")
        seen["ledger"]["says lifted"] = f'"{attackers[0]}"' in audit.stdout
        counted = play.agents()["correlation.control"]["health"]["counters"]
        # It was killed: what its journal gave back and what came since, each once.
        taken = counted["restored"] + counted["alerts_received"]
        seen["engine"] = {
            "took each alert once": counted["alerts"] == taken and "alerts_repeated" not in counted,
            "figures": {k: counted.get(k) for k in ("restored", "alerts_received", "alerts")},
        }
        restarts = {n: a["restarts"] for n, a in play.agents().items() if a["restarts"]}
        seen["restarts"] = {v: restarts.pop(v, 0) == 1 for v in VICTIMS if v != SERVER}
        seen["restarts"]["nobody else"] = not restarts
        codes = world.stop()
        seen["stop"] = {"exit codes": codes == [0] * len(codes)}
        log = play.log()
        seen["stop"]["every task ended"] = not any("does not end" in line for line in log)
        seen["alerts"] = account(play)
        seen["log"] = log[-60:]
        seen["took s"] = round(time.monotonic() - began, 1)
    return seen


if __name__ == "__main__":
    try:
        print(json.dumps(main(Path(sys.argv[1]))))
    except subprocess.SubprocessError as e:
        sys.exit(f"{e}")
