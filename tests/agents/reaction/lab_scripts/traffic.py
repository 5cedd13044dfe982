"""Runs inside a sandbox, in the gateway's network namespace, and sends real traffic through it.

Prints one JSON object: what happened in each scenario; ``test_nftables.py`` judges.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from held_back import held_back
from hosts import (
    LIMIT_S,
    PORT,
    enter,
    handle,
    listing,
    make_socket,
    nft,
    one_way,
    passes,
    start_servers,
    wait_for,
)

from agents.reaction.firewall import FirewallError
from agents.reaction.nftables import Nftables
from datasets.laboratory.network import Lab
from datasets.laboratory.topology import HoneynetTopology, build_honeynet


class Scenarios:
    def __init__(self, net: HoneynetTopology) -> None:
        self.net = net
        self.gateway = net.gateways[0]
        self.pot = net.honeypots[0]
        monitor = net.monitor
        self.allow = (IPv4Network(monitor.ipv4), IPv6Network(f"{monitor.ipv6}/128"))
        # On a busy machine the bridges and neighbours of IPv6 take a while.
        wait_for(lambda: all(self.matrix().values()))

    @contextlib.contextmanager
    def firewall(self) -> Iterator[Nftables]:
        firewall = Nftables(self.allow)
        firewall.install()
        try:
            yield firewall
        finally:
            firewall.remove()
            firewall.close()

    def matrix(self) -> dict[str, bool]:
        out = {}
        for source in (self.net.attacker, self.net.client, self.net.monitor):
            for name, target in (("honeypot", self.pot), ("gateway", self.gateway.wan)):
                for version in (4, 6):
                    out[f"{source.namespace}>{name}/{version}"] = passes(source, target, version)
        return out

    def block_and_lift(self) -> dict[str, Any]:
        attacker = self.net.attacker
        with self.firewall() as firewall:
            before = self.matrix()
            firewall.block(attacker.ipv4, 60)
            firewall.block(attacker.ipv6, 60)
            during = self.matrix()
            back = {
                f"{source.namespace}/{version}": one_way(source, attacker, version)
                for source in (self.pot, self.gateway.wan)
                for version in (4, 6)
            }
            counters = firewall.counters()
            lifted = [firewall.unblock(attacker.ipv4), firewall.unblock(attacker.ipv6)]
            again = firewall.unblock(attacker.ipv4)
            after = self.matrix()
        return {
            "before": before,
            "during": during,
            "back": back,
            "counters": counters,
            "lifted": lifted,
            "lifted_again": again,
            "after": after,
        }

    def established(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        with self.firewall() as firewall:
            for address, target in (
                (self.net.attacker.ipv4, str(self.pot.ipv4)),
                (self.net.attacker.ipv6, str(self.pot.ipv6)),
            ):
                with make_socket("attacker", address.version, socket.SOCK_STREAM) as flow:
                    flow.settimeout(LIMIT_S)
                    flow.connect((target, PORT))
                    flow.sendall(b"one")
                    first = flow.recv(100)
                    firewall.block(address, 60)
                    flow.sendall(b"two")
                    flow.settimeout(0.5)
                    try:
                        second = flow.recv(100)
                    except TimeoutError:
                        second = b""
                    firewall.unblock(address)
                    flow.settimeout(LIMIT_S)
                    third = flow.recv(100)  # TCP sends it again: the flow was cut by us, not lost
                    out[str(address.version)] = [x.decode() for x in (first, second, third)]
        return out

    def modes(self) -> dict[str, Any]:
        """A supervisor's and a gateway's cores, joined, over the real kernel: two sources wait, one
        is approved, one vetoed."""
        attacker, client = self.net.attacker, self.net.client
        with self.firewall() as firewall, tempfile.TemporaryDirectory() as folder:
            return asyncio.run(held_back(firewall, Path(folder), attacker, client, self.pot))

    def allow_list(self) -> dict[str, Any]:
        monitor = self.net.monitor
        refused = []
        with self.firewall() as firewall:
            for address in (monitor.ipv4, monitor.ipv6):
                for order in (
                    lambda a=address: firewall.block(a, 60),
                    lambda a=address: firewall.block_many({a: 60}),
                ):
                    try:
                        order()
                    except FirewallError as e:
                        refused.append(str(e))
            # Behind our back: the kernel's own allow-list has to hold.
            error = nft(
                f"add element inet ontoidps block4 {{ {monitor.ipv4} timeout 60s }}\n"
                f"add element inet ontoidps block6 {{ {monitor.ipv6} timeout 60s }}\n"
            )
            matrix = self.matrix()
            counters = firewall.counters()
            answered = one_way(self.pot, monitor, 4)
        return {
            "refused": refused,
            "error": error,
            "matrix": matrix,
            "counters": counters,
            "answered": answered,
        }

    def expiry(self) -> dict[str, Any]:
        attacker = self.net.attacker
        out: dict[str, Any] = {}
        with self.firewall() as firewall:
            for version, address in ((4, attacker.ipv4), (6, attacker.ipv6)):
                given = firewall.block(address, 1.2)
                during = passes(attacker, self.pot, version)
                seconds = wait_for(lambda v=version: passes(attacker, self.pot, v, limit_s=0.1))
                out[str(version)] = {"given": given, "during": during, "seconds": seconds}
            out["left"] = len(firewall.blocked())
        return out

    def restart(self) -> dict[str, Any]:
        attacker = self.net.attacker
        firewall = Nftables(self.allow)
        firewall.install()
        firewall.block(attacker.ipv4, 60)
        firewall.block(attacker.ipv6, 60)
        first = handle()
        firewall.close()

        same = Nftables(self.allow)
        same.install()
        kept = handle() == first
        left = {str(a): s for a, s in same.blocked().items()}
        same.close()

        # Another allow-list is another table; it is replaced without losing a block.
        other = Nftables((*self.allow, IPv4Network("203.0.113.0/24"), IPv4Network("0.0.0.0/32")))
        other.install()
        replaced = handle() != first
        carried = {str(a): s for a, s in other.blocked().items()}
        still = [passes(attacker, self.pot, version) for version in (4, 6)]
        verified = other.verify()
        other.remove()
        other.remove()
        other.close()
        return {
            "kept": kept,
            "left": left,
            "replaced": replaced,
            "carried": carried,
            "passes": still,
            "verified": verified,
        }

    def drift(self) -> dict[str, Any]:
        attacker = self.net.attacker
        wanted: dict[IPv4Address | IPv6Address, float] = {attacker.ipv4: 60.0, attacker.ipv6: 60.0}
        damages = {
            "flush ruleset": "flush ruleset",
            "flush table": "flush table inet ontoidps",
            "delete set element": f"delete element inet ontoidps block4 {{ {attacker.ipv4} }}",
            "flush set": "flush set inet ontoidps block6",
            "accept rule": "insert rule inet ontoidps from4 accept",
            "dormant": "add table inet ontoidps { flags dormant; }",
            "allow everybody": "add element inet ontoidps allow4 { 0.0.0.0/1 }",
            "chain": "add chain inet ontoidps extra",
        }
        out = {}
        for name, text in damages.items():
            with self.firewall() as firewall:
                firewall.block_many(wanted)
                quiet = bool(firewall.reconcile(wanted))
                error = nft(text)
                verified = firewall.verify()
                began = time.perf_counter()
                found = firewall.reconcile(wanted)
                seconds = time.perf_counter() - began
                out[name] = {
                    "quiet": quiet,
                    "error": error,
                    "verified": verified,
                    "reinstalled": found.reinstalled,
                    "restored": sorted(map(str, found.restored)),
                    "seconds": seconds,
                    "passes": [passes(attacker, self.pot, version) for version in (4, 6)],
                    "again": bool(firewall.reconcile(wanted)),
                    "healed": firewall.verify(),
                }
        return out

    def block_without_table(self) -> dict[str, Any]:
        attacker = self.net.attacker
        out: dict[str, Any] = {}
        with self.firewall() as firewall:
            nft("flush ruleset")
            firewall.block(attacker.ipv4, 60)
            out["one"] = passes(attacker, self.pot, 4)
            out["told"] = firewall.reconcile({attacker.ipv4: 60.0}).reinstalled
            nft("flush ruleset")
            firewall.block_many({IPv4Address(0x0A000000 + i): 60.0 for i in range(100)})
            out["many"] = len(firewall.blocked())
        return out

    def renew(self) -> dict[str, Any]:
        address = IPv6Address("2001:db8:ffff::1")
        with self.firewall() as firewall:
            ends = [firewall.block(address, seconds) for seconds in (5, 60, 10)]
            end = firewall.blocked()[address]
            many = {address: 30.0, IPv4Address("10.9.9.9"): 30.0}
            firewall.block_many(many)
            kept = firewall.blocked()[address]
            # Renewed at the very moment it ends, again and again: never an error, never a hole.
            short = IPv4Address("10.9.9.10")
            until = time.monotonic() + 1.0
            rounds = 0
            while time.monotonic() < until:
                firewall.block(short, 0.004)
                time.sleep(0.002 + 0.004 * (rounds % 3) / 2)
                rounds += 1
            firewall.block(short, 60)
            last = firewall.blocked()[short]
        return {"ends": ends, "end": end, "kept": kept, "rounds": rounds, "last": last}

    def bulk(self) -> dict[str, Any]:
        first4, first6 = int(IPv4Address("10.0.0.0")), int(IPv6Address("2001:db8:aaaa::"))
        wanted: dict[IPv4Address | IPv6Address, float] = {
            **{IPv4Address(first4 + i): 600.0 for i in range(7000)},
            **{IPv6Address(first6 + i): 600.0 for i in range(3000)},
        }
        with self.firewall() as firewall:
            began = time.perf_counter()
            firewall.block_many(wanted)
            added = time.perf_counter() - began
            present = firewall.blocked()
            began = time.perf_counter()
            firewall.block_many({address: 900.0 for address in wanted})
            renewed = time.perf_counter() - began
            later = firewall.blocked()
            one = firewall.block(IPv4Address("10.200.0.1"), 60)
            carried_from = handle()
            other = Nftables()
            other.install()
            carried = len(other.blocked())
            moved = handle() != carried_from
            other.close()
        return {
            "same": present.keys() == wanted.keys() == later.keys(),
            "shortest": min(later.values()),
            "added_s": added,
            "renewed_s": renewed,
            "one": one,
            "carried": carried,
            "moved": moved,
        }

    def others(self) -> dict[str, Any]:
        nft(
            "table ip other {\n set s {\n type ipv4_addr\n elements = { 10.1.1.1 }\n }\n"
            "chain c { type filter hook input priority 0; policy accept; ip saddr @s accept; }\n}\n"
        )
        before = listing("-s", "list", "table", "ip", "other")
        with self.firewall() as firewall:
            firewall.block(self.net.attacker.ipv4, 60)
            firewall.reconcile({})
        after = listing("-s", "list", "table", "ip", "other")
        tables = listing("list", "tables").split("\n")
        nft("delete table ip other")
        return {"same": before == after, "tables": [t for t in tables if t]}

    def enforcement(self) -> dict[str, Any]:
        """The agent's core on the real kernel: tampering, a restart, a reboot."""
        from agents.reaction.enforcement import Enforcement
        from agents.reaction.policy import ReactionPolicy
        from agents.reaction.store import ClaimStore
        from agents.settings.honeynet import Settings
        from ontology.records import Decision

        now_us = time.time_ns() // 1000
        attacker = self.net.attacker
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings.model_validate(
                {
                    "state_dir": folder,
                    "policy": {"allow": [str(self.net.monitor.ipv4)]},
                    "node": [
                        {
                            "name": "gw1",
                            "agents": ["supervisor", "correlation", "ontology", "reaction"],
                            "addresses": [str(a) for a in self.gateway.addresses],
                        }
                    ],
                    "honeypot": [{"address": str(self.pot.ipv4), "node": "gw1"}],
                }
            )

            supervisor = settings.jid("supervisor", "gw1")

            def make() -> Enforcement:
                policy = ReactionPolicy(settings)
                firewall = Nftables(policy.allow)
                store = ClaimStore(Path(folder) / "blocks.sqlite3")
                return Enforcement(policy, firewall, store, gateway="gw1", authorities=[supervisor])

            gateway = make()
            gateway.start()
            orders = [
                Decision(
                    id=f"urn:x:{number}",
                    action="block",
                    source=source,
                    classification="SynScan",
                    origin="correlation.gw1@honeynet.localdomain",
                    decided_us=now_us,
                    duration_s=duration_s,
                    reason="test",
                )
                for number, (source, duration_s) in enumerate(
                    [
                        (attacker.ipv4, 60),
                        (attacker.ipv6, 60),
                        (self.net.monitor.ipv4, 60),
                        (self.pot.ipv4, 60),
                        (self.gateway.wan.ipv4, 60),
                        (IPv4Address("203.0.113.77"), 1),
                    ]
                )
            ]
            states = [r.block.state for r in gateway.handle(orders, supervisor)]
            shorter = replace(orders[0], id="urn:x:s", decided_us=now_us + 1, duration_s=20)
            gateway.handle([shorter], supervisor)
            with contextlib.closing(Nftables()) as kernel:
                shortened = kernel.remaining(attacker.ipv4)
            ended: list[str] = []

            def tick() -> bool:
                ended.extend(f"{r.block.source} {r.block.state}" for r in gateway.tick())
                return bool(ended)

            expired_s = wait_for(tick)
            nft("flush ruleset")
            gateway.tick()
            mended = [passes(attacker, self.pot, version) for version in (4, 6)]
            drift = gateway.counters["drift"]
            gateway.close()

            again = make()
            kept = sorted(str(r.block.source) for r in again.start())
            again.close()
            nft("flush ruleset")  # what a reboot does
            rebooted = make()
            restored = sorted(str(r.block.source) for r in rebooted.start())
            after = [passes(attacker, self.pot, version) for version in (4, 6)]
            rebooted.close()
        Nftables().remove()
        return {
            "states": states,
            "shortened": shortened,
            "ended": ended,
            "expired_s": expired_s,
            "mended": mended,
            "drift": drift,
            "kept": kept,
            "restored": restored,
            "after": after,
        }

    def no_capability(self) -> dict[str, Any]:
        program = (
            "from agents.reaction.nftables import Nftables\n"
            "from agents.reaction.firewall import FirewallError\n"
            "try: Nftables().install()\n"
            "except FirewallError as e: print(e)\n"
        )
        done = subprocess.run(
            ["setpriv", "--bounding-set=-net_admin", sys.executable, "-c", program],
            text=True,
            capture_output=True,
            check=False,
        )
        return {"out": done.stdout, "err": done.stderr}


def main() -> None:
    with Lab() as lab:
        net = build_honeynet(lab, gateways=1)
        enter("gw1")
        scenarios = Scenarios(net)
        for host in (scenarios.pot, scenarios.gateway.wan):
            start_servers(host)
        names = sys.argv[1:] or [n for n in vars(Scenarios) if not n.startswith("_")]
        out: dict[str, Any] = {}
        for name in names:
            if name in ("firewall", "matrix"):
                continue
            began = time.monotonic()
            try:
                out[name] = getattr(scenarios, name)()
            except (FirewallError, OSError, ValueError, KeyError) as e:
                out[name] = {"exception": f"{type(e).__name__}: {e}"}
            out[name]["took_s"] = time.monotonic() - began
        print(json.dumps(out), flush=True)
    os._exit(0)  # the echo threads sit in recv


main()
