"""What a gateway blocks, summed up, so that two can see where they differ: `BlocksInForce`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PARTS: Final = 256
"""Addresses are shared out among so many parts by a hash; each part has a digest."""
_DIGITS: Final = 16
_DIGESTS = re.compile(f"[0-9a-f]{{{PARTS * _DIGITS}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BlocksInForce:
    """The blocks of one gateway: as it has them, or as a supervisor believes."""

    id: str
    node: str
    """Node name of the gateway."""
    part_digests: str
    """64 bits in hex for each of `PARTS` parts: the XOR over SHA-256 of address and decision."""

    def __post_init__(self) -> None:
        if not _DIGESTS.fullmatch(self.part_digests):
            raise ValueError(f"part_digests must be {PARTS} times {_DIGITS} hex digits")

    def differs_from(self, other: BlocksInForce) -> frozenset[int]:
        """The parts in which they are not alike."""
        mine, theirs = self.part_digests, other.part_digests
        return frozenset(
            part
            for part in range(PARTS)
            if mine[(at := part * _DIGITS) : at + _DIGITS] != theirs[at : at + _DIGITS]
        )


def part_of(address: str) -> int:
    """In which part an address (in canonical form) is."""
    return hashlib.sha256(address.encode()).digest()[0]


def sum_up(blocks: Iterable[tuple[str, str]]) -> str:
    """`BlocksInForce.part_digests` of (address in canonical form, id of the decision)."""
    sums = [0] * PARTS
    for address, decision in blocks:
        digest = hashlib.sha256(f"{address} {decision}".encode()).digest()
        sums[part_of(address)] ^= int.from_bytes(digest[: _DIGITS // 2])
    return "".join(f"{one:0{_DIGITS}x}" for one in sums)


def contradict(part_digests: str) -> str:
    """Digests that differ from these in each part."""
    return "".join(f"{15 - int(digit, 16):x}" for digit in part_digests)
