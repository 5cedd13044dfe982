"""Who is blocked until when, offline: the supervisor and its gateways in one place, on a capture's
time. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ontology.records import Address, Block, BlockState, Decision

GATEWAY = "replay"


@dataclass(frozen=True, slots=True)
class _Kept:
    decision: Decision
    until_us: int


class Keeper:
    """Blocks of one replay."""

    def __init__(self) -> None:
        self._kept: dict[Address, _Kept] = {}

    def take(self, decision: Decision) -> bool:
        """Carry a block out; False if the source is blocked for more than half of that time
        already, so that nothing need be done."""
        length_us = decision.duration_s * 1_000_000
        kept = self._kept.get(decision.source)
        if kept is not None and (kept.until_us - decision.decided_us) * 2 >= length_us:
            return False
        until_us = decision.decided_us + length_us
        self._kept[decision.source] = _Kept(decision, until_us)
        return True

    def report(self, decision: Decision) -> Block:
        """That a block is in force."""
        return self._block(self._kept[decision.source], "active", decision.decided_us)

    def end(self, now_us: int) -> list[Block]:
        """The blocks that are over since the last call."""
        over = [source for source, kept in self._kept.items() if kept.until_us <= now_us]
        return [self._block(kept, "expired", kept.until_us) for kept in map(self._kept.pop, over)]

    def _block(self, kept: _Kept, state: BlockState, since_us: int) -> Block:
        return Block(
            id=f"{kept.decision.id}/{state}",
            decision=kept.decision.id,
            gateway=GATEWAY,
            source=kept.decision.source,
            state=state,
            since_us=since_us,
            expires_us=kept.until_us,
        )
