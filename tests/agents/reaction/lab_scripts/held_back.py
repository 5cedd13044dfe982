"""Modes, from a person's word to the kernel's set and to packets: for ``traffic.py``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hosts import passes

from agents.clock import now_us
from agents.reaction.enforcement import Enforcement
from agents.reaction.nftables import Nftables
from agents.reaction.policy import ReactionPolicy
from agents.reaction.store import ClaimStore
from agents.settings.honeynet import Settings
from agents.supervisor.ledger import Ledger
from agents.supervisor.operations import Operations
from agents.supervisor.propagation import Order
from ontology.records import Address, Decision, Record

CELL = "correlation.gw1@honeynet.localdomain"


def decided(source: Address) -> Decision:
    return Decision(
        id=f"urn:uuid:00000000-0000-0000-0000-{int(source) % 10**12:012}",
        action="block",
        source=source,
        classification="ScanThenBruteForceIncident",
        origin=CELL,
        decided_us=now_us(),
        duration_s=60,
        reason="a scan, then 21 refused logins",
    )


async def held_back(
    firewall: Nftables, folder: Path, attacker: Any, client: Any, pot: Any
) -> dict[str, Any]:
    """What the kernel has, and whether packets pass, after each step."""
    agents = ["supervisor", "correlation", "ontology", "reaction"]
    node = {"name": "gw1", "agents": agents, "mode": "approve"}
    settings = Settings.model_validate({"state_dir": folder, "node": [node]})
    supervisor = settings.jids("supervisor")[0]
    enforcement = Enforcement(
        ReactionPolicy(settings, "gw1"),
        firewall,
        ClaimStore(folder / "claims.sqlite3"),
        gateway="gw1",
        authorities=[supervisor],
    )
    enforcement.start()
    orders: list[Order] = []

    async def send(new: Sequence[Order]) -> None:
        orders.extend(new)

    async def archive(_: Sequence[Record]) -> None:
        pass

    ledger = Ledger(folder / "ledger.sqlite3")
    operations = Operations(settings, ledger, clock=now_us, send=send, archive=archive)

    async def carry_out() -> list[str]:
        """The gateway does what it is told, and says so."""
        said = []
        while orders:
            for report in enforcement.handle([orders.pop(0).decision], supervisor):
                said.append(report.block.state)
                await operations.report(report.block)
        return said

    def look(said: Sequence[str] = ()) -> dict[str, Any]:
        return {
            "said": list(said),
            "kernel": sorted(map(str, firewall.blocked())),
            "attacker": [passes(attacker, pot, version) for version in (4, 6)],
            "client": [passes(client, pot, version) for version in (4, 6)],
        }

    out: dict[str, Any] = {}
    entries = {}
    for source in (attacker.ipv4, attacker.ipv6, client.ipv4, client.ipv6):
        made = decided(source)
        # The cell of the node orders at once, then the supervisor hears of it.
        (report,) = enforcement.handle([made], CELL)
        await operations.decide(made, None, (), ordered_at="gw1")
        await operations.report(report.block)
        entries[source] = operations.ledger.entry_of_decision(made.id)
    out["waiting"] = look(await carry_out())
    begin = time.perf_counter()
    for source in (attacker.ipv4, attacker.ipv6):
        await operations.approve(entries[source].id, "looked at it", "ana")
    for source in (client.ipv4, client.ipv6):
        await operations.veto(entries[source].id, "own scanner", "ana")
    said = await carry_out()
    out["seconds"] = time.perf_counter() - begin
    out["decided"] = look(said)
    states = [operations.ledger.entry(e.id) for e in entries.values()]
    out["states"] = [(e.state, e.gateways[0].state) for e in states if e is not None]
    out["who"] = [f"{line.who}: {line.what}" for line in operations.ledger.audit_trail(limit=4)]
    for source in (attacker.ipv4, attacker.ipv6):
        await operations.shorten(entries[source].id, 30, "enough", "ana")
    await carry_out()
    out["left"] = list(firewall.blocked().values())
    await operations.lift(entries[attacker.ipv6].id, "enough", "ana")
    await operations.lift(entries[attacker.ipv4].id, "enough", "ana")
    out["lifted"] = look(await carry_out())
    await operations.undo("it still attacks", "ana")
    out["undone"] = look(await carry_out())
    ledger.close()
    return out
