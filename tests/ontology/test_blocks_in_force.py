"""Two sums of blocks differ where the blocks do."""

import pytest

from ontology.blocks_in_force import PARTS, BlocksInForce, contradict, part_of, sum_up


def has(*blocks: tuple[str, str]) -> BlocksInForce:
    return BlocksInForce(id="urn:x:1", node="gw1", part_digests=sum_up(blocks))


def test_order_plays_no_part() -> None:
    blocks = [(f"192.0.2.{n}", f"urn:x:{n}") for n in range(200)]
    assert has(*blocks).part_digests == has(*reversed(blocks)).part_digests
    assert not has(*blocks).differs_from(has(*blocks))


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_the_part_of_the_address_differs(address: str) -> None:
    rest = [(f"198.51.100.{n}", "urn:x:d") for n in range(200)]
    one = has(*rest, (address, "urn:x:d"))
    for other in (has(*rest), has(*rest, (address, "urn:x:e"))):
        assert one.differs_from(other) == other.differs_from(one) == {part_of(address)}


def test_contradiction_differs_everywhere() -> None:
    one = has(("192.0.2.7", "urn:x:d"))
    other = BlocksInForce(id="urn:x:2", node="gw1", part_digests=contradict(one.part_digests))
    assert one.differs_from(other) == set(range(PARTS))


def test_parts_are_about_as_full() -> None:
    parts = [part_of(f"10.0.{n >> 8}.{n & 255}") for n in range(256 * 40)]
    assert set(parts) == set(range(PARTS))
    assert max(map(parts.count, range(PARTS))) < 80


@pytest.mark.parametrize("wrong", ["", "0" * 4095, "g" * 4096, "0" * 4097, "0" * 4096 + "\n"])
def test_other_digests_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="part_digests must be 256 times 16 hex digits"):
        BlocksInForce(id="urn:x:1", node="gw1", part_digests=wrong)
