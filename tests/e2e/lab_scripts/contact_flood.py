"""Run inside a sandbox: one node with all agents; a flood of forged contacts with its honeypot.

``contact_flood.py FOLDER [SECONDS [AFTER_S [PACKETS_PER_S [KIND]]]]``: a password is guessed in
calm, and again, from another address, in the midst of the flood; ``AFTER_S`` after its end the
state is looked at. Prints one JSON object: what was observed. The cases of issue 10 are 75 s and
240 s at 1,500 a second.
"""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from alone import HONEYNET, until

from agents.clock import now_us
from agents.commands.status import link, read_run_files
from agents.settings.honeynet import load_settings
from agents.trust.identity import ensure_keys
from agents.trust.pki import ensure_authority
from datasets.laboratory.network import Lab
from datasets.laboratory.topology import WAN4, build_honeynet

HERE = Path(__file__).parent
AGENTS = 6


def main(
    folder: Path, seconds: float = 20.0, after_s: float = 5.0, rate: int = 1500, kind: str = "ack"
) -> dict[str, Any]:
    with Lab() as lab:
        topology = build_honeynet(lab, 1)
        gateway, pot, attacker = topology.gateways[0], topology.honeypots[0], topology.attacker
        ensure_authority(folder)
        file = folder / "honeynet.toml"
        file.write_text(
            HONEYNET.format(
                control=topology.control.ipv4,
                interface=gateway.wan.interface,
                addresses=", ".join(f'"{address}"' for address in gateway.addresses),
                pot=pot.ipv4,
            )
        )
        settings = load_settings(file)
        ensure_keys(settings)
        decoy = lab.popen(
            pot.namespace,
            [sys.executable, "-m", "datasets.laboratory.decoy", str(pot.ipv4), str(pot.ipv6)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert decoy.stdout is not None and decoy.stdout.readline() == "ready\n"
        log = folder / "agents.log"
        with log.open("w") as out:
            launcher = lab.popen(
                "gw1", [sys.executable, "-m", "agents.main", "up", str(file)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env=os.environ,
            )  # fmt: skip
        words = folder / "passwords.txt"
        words.write_text("".join(f"password{n}\n" for n in range(5000)))

        def agents() -> list[dict[str, Any]]:
            found = read_run_files(settings.state_dir, now_us())
            return [agent for node in found for agent in node["agents"]]

        def up() -> bool:
            found = agents()
            return len(found) == AGENTS and all(
                link(a) == "LOCAL ONLY" and a["health"]["local"] == AGENTS - 1 for a in found
            )

        def blocked(address: str) -> bool:
            element = f"{{ {address} }}"
            wanted = ["nft", "get", "element", "inet", "ontoidps", "block4", element]
            return lab.run("gw1", wanted, check=False).returncode == 0

        def guess(number: int) -> float | None:
            """Seconds until the kernel drops the guesser; None: not within a minute."""
            address = str(WAN4[130 + number])
            lab.address(attacker.namespace, attacker.interface, f"{address}/{WAN4.prefixlen}")
            route = ["ip", "route", "replace", str(pot.ipv4), "via", str(gateway.wan.ipv4)]
            lab.run(attacker.namespace, [*route, "src", address])
            hydra = ["hydra", "-I", "-q", "-t", "4", "-l", "root", "-P", str(words)]
            began = time.monotonic()
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
            process = lab.popen(
                attacker.namespace,
                [*hydra, f"ftp://{pot.ipv4}"],
                cwd=folder,
                stderr=subprocess.DEVNULL,
                **quiet,
            )
            done = until(lambda: blocked(address), 60)
            took = time.monotonic() - began
            process.kill()
            process.wait()
            return round(took, 2) if done else None

        seen: dict[str, Any] = {"up": until(up, 60)}
        pids = {a["role"]: a["pid"] for a in agents()}
        time.sleep(5.0)  # the reasoner warms up
        seen["calm s"] = [guess(number) for number in range(2)]
        (device,) = json.loads(
            lab.run("gw1", ["ip", "-j", "link", "show", gateway.wan.interface]).stdout
        )
        flood = lab.popen(
            attacker.namespace,
            [sys.executable, str(HERE / "forged_contacts.py"), attacker.interface,
             device["address"], str(pot.ipv4), str(rate), str(seconds), kind],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        time.sleep(min(5.0, seconds / 4))
        seen["flooded s"] = [guess(number) for number in range(2, 4)]
        seen["guessed in the flood"] = flood.poll() is None
        seen["packets"] = int(flood.communicate(timeout=seconds + 60)[0])
        time.sleep(after_s)
        state = {a["role"]: a for a in agents()}
        seen["restarts"] = {role: a["pid"] != pids.get(role) for role, a in state.items()}
        seen["states"] = {role: a["state"] for role, a in state.items()}
        seen["counters"] = {role: a["health"].get("counters", {}) for role, a in state.items()}
        seen["peak MiB"] = {role: peak_mib(a["pid"]) for role, a in state.items()}
        seen["after s"] = guess(4)
        seen["still blocked"] = all(blocked(str(WAN4[130 + n])) for n in range(5))
        launcher.terminate()
        seen["launcher"] = launcher.wait(60)
        seen["log bytes"] = log.stat().st_size
        seen["state bytes"] = {
            str(path.relative_to(settings.state_dir)): path.stat().st_size
            for path in sorted(settings.state_dir.rglob("*"))
            if path.is_file() and path.stat().st_size > 100_000
        }
        (journal,) = settings.state_dir.rglob("alerts.sqlite3")
        with sqlite3.connect(journal) as database:
            seen["journal rows"] = database.execute("SELECT count(*) FROM alert").fetchone()[0]
        seen["log"] = log.read_text(errors="replace").splitlines()[-60:]
    return seen


def peak_mib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[2:4]]
    more = [int(sys.argv[4])] if len(sys.argv) > 4 else []
    print(json.dumps(main(Path(sys.argv[1]), *numbers, *more, *sys.argv[5:6])))
