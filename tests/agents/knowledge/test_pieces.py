"""Pieces: whatever the order, the repeats and the sizes, the files come out whole or not at all."""

from __future__ import annotations

import base64
import random
import tracemalloc
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.knowledge import pieces
from agents.knowledge.files import MAX_FILE_BYTES, REQUIRED_FILES, FileSet
from agents.knowledge.pieces import (
    MAX_FILES,
    MAX_PIECES,
    MESSAGE_CHARACTERS,
    PIECE_CHARACTERS,
    Assembly,
    PieceError,
    by_message,
    split,
)
from agents.messages.acl import AclMessage
from ontology.fragments import decode, encode
from ontology.records import KnowledgePiece, OntologyChanged

CHANGE = OntologyChanged(id="urn:uuid:c", version="1.0.0+abc", changed_us=7)


def small_files(contents: Mapping[str, bytes]) -> FileSet:
    return FileSet(dict.fromkeys(REQUIRED_FILES, b"") | dict(contents))


def put_together(change: OntologyChanged, parts: list[KnowledgePiece]) -> FileSet:
    assembly = Assembly(change)
    for piece in parts:
        assembly.add(piece)
    return assembly.files()


file_sets = st.dictionaries(st.sampled_from(REQUIRED_FILES), st.binary(max_size=2000)).map(
    small_files
)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small files make many pieces and messages."""
    monkeypatch.setattr(pieces, "PIECE_CHARACTERS", 100)
    monkeypatch.setattr(pieces, "MESSAGE_CHARACTERS", 2_000)


def test_the_shipped_files_travel_in_one_message(shipped: FileSet) -> None:
    change, parts = split(CHANGE, shipped)
    (group,) = by_message(parts)
    assert change.piece_count == len(group) and change.digest == shipped.digest
    text = encode([change, *group])
    message = AclMessage(
        performative="inform", sender="a@b", receivers=("c@d",), content=text, conversation_id="x"
    )
    assert len(message.content) < 190_000
    assert decode(text) == (change, *group)
    assert put_together(change, list(group)).contents == shipped.contents


@pytest.mark.usefixtures("narrow")
def test_any_order_with_any_repeats_gives_the_files() -> None:
    @given(file_sets, st.randoms(use_true_random=False), st.integers(0, 5))
    def holds(files: FileSet, dice: random.Random, repeats: int) -> None:
        change, parts = split(CHANGE, files)
        shuffled = [*parts, *dice.choices(parts, k=repeats)]
        dice.shuffle(shuffled)
        assert put_together(change, shuffled).contents == files.contents

    holds()


@pytest.mark.usefixtures("narrow")
def test_messages_keep_the_order_and_their_size() -> None:
    @given(file_sets)
    def holds(files: FileSet) -> None:
        _, parts = split(CHANGE, files)
        groups = list(by_message(parts))
        assert [piece for group in groups for piece in group] == parts
        for group in groups:
            assert len(group) == 1 or sum(len(piece.data) for piece in group) <= 2_000

    holds()


@pytest.mark.usefixtures("narrow")
def test_a_missing_piece_is_missed() -> None:
    @given(file_sets, st.randoms(use_true_random=False))
    def holds(files: FileSet, dice: random.Random) -> None:
        change, parts = split(CHANGE, files)
        parts.remove(dice.choice(parts))
        assembly = Assembly(change)
        for piece in parts:
            assembly.add(piece)
        assert assembly.missing == 1
        with pytest.raises(PieceError, match=r"1 of [0-9]+ pieces are missing"):
            assembly.files()

    holds()


HOSTILE: dict[str, Any] = {
    "announcement": "urn:uuid:other",
    "file_name": st.sampled_from(
        ["../../etc/passwd", "/x.owl", "..", "a/b.owl", "x.py", "", ".owl", "x" * 9999,
         "reaction.owl\n", "REACTION.OWL", "new.owl"]
    ),
    "piece_number": 2,
    "piece_count": 2,
    "file_bytes": st.sampled_from([0, 1, 10**6, MAX_FILE_BYTES, MAX_FILE_BYTES + 1, 2**62]),
    "digest": "0" * 64,
    "data": st.sampled_from(
        ["", "!", "AAAA", "eJ", base64.b64encode(zlib.compress(bytes(10**6))).decode()]
    ),
}  # fmt: skip


@given(st.data(), st.sampled_from(sorted(HOSTILE)))
def test_a_piece_that_somebody_has_changed_is_refused(data: st.DataObject, field: str) -> None:
    """Whatever it is: nothing comes out, and nothing but a PieceError."""
    files = small_files({"correlation.owl": b"<rules/>", "reaction.owl": b"<more/>"})
    change, parts = split(CHANGE, files)
    index = data.draw(st.integers(0, len(parts) - 1))
    wanted = HOSTILE[field]
    value = data.draw(wanted) if isinstance(wanted, st.SearchStrategy) else wanted
    piece = parts[index]
    if field == "piece_number":
        piece = replace(piece, piece_count=2)
    if getattr(piece, field) == value:
        return
    parts[index] = replace(piece, **{field: value})
    with pytest.raises(PieceError):
        put_together(change, parts)


def test_a_bomb_costs_no_more_than_was_announced(shipped: FileSet) -> None:
    change, parts = split(CHANGE, shipped)
    bomb = base64.b64encode(zlib.compress(bytes(60_000_000), 9)).decode()
    assert len(bomb) < PIECE_CHARACTERS
    parts = [replace(p, data=bomb) if p.file_name == "reaction.owl" else p for p in parts]
    tracemalloc.start()
    with pytest.raises(PieceError, match=r"reaction\.owl: unpacks to something else"):
        put_together(change, parts)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8_000_000


@pytest.mark.parametrize("count", [0, MAX_PIECES + 1])
def test_an_announcement_out_of_bounds_is_refused(count: int) -> None:
    with pytest.raises(PieceError, match=f"{count} pieces announced"):
        Assembly(replace(CHANGE, piece_count=count))


def a_piece(name: str, **changes: Any) -> KnowledgePiece:
    _, (piece, *_) = split(CHANGE, small_files({}))
    return replace(piece, id=f"urn:uuid:{name}", file_name=name, **changes)


def test_numbers_are_bounded() -> None:
    assembly = Assembly(replace(CHANGE, piece_count=MAX_PIECES))
    for number in range(MAX_FILES):
        assembly.add(a_piece(f"x{number}.owl"))
    with pytest.raises(PieceError, match="more than 32 files"):
        assembly.add(a_piece("one-more.owl"))
    assembly = Assembly(replace(CHANGE, piece_count=MAX_PIECES))
    for number in range(3):
        assembly.add(a_piece(f"x{number}.owl", file_bytes=MAX_FILE_BYTES))
    with pytest.raises(PieceError, match="bytes in all"):
        assembly.add(a_piece("x3.owl", file_bytes=MAX_FILE_BYTES))
    with pytest.raises(PieceError, match="a piece of 120001 characters"):
        assembly.add(a_piece("x0.owl", data="A" * (PIECE_CHARACTERS + 1)))
    assembly = Assembly(replace(CHANGE, piece_count=1))
    assembly.add(a_piece("x0.owl"))
    with pytest.raises(PieceError, match="more pieces than the 1 announced"):
        assembly.add(a_piece("x1.owl"))


def test_one_number_twice_is_refused_if_they_differ() -> None:
    assembly = Assembly(replace(CHANGE, piece_count=2))
    assembly.add(a_piece("x.owl"))
    assembly.add(a_piece("x.owl"))
    assert assembly.missing == 1
    with pytest.raises(PieceError, match="piece 1 came twice and differs"):
        assembly.add(a_piece("x.owl", data="AAAA"))


def test_files_that_are_not_the_announced_ones_are_refused(shipped: FileSet) -> None:
    """Each file is as its own digest says, and yet they are not that version."""
    change, parts = split(CHANGE, shipped)
    with pytest.raises(PieceError, match="announced was '0000"):
        put_together(replace(change, digest="0" * 64), parts)
    _, others = split(CHANGE, FileSet({**shipped.contents, "reaction.owl": b"<other/>"}))
    with pytest.raises(PieceError, match="SHA-256 over all files"):
        put_together(change, others)


def test_too_much_is_not_sent(monkeypatch: pytest.MonkeyPatch, shipped: FileSet) -> None:
    monkeypatch.setattr(pieces, "PIECE_CHARACTERS", 100)
    with pytest.raises(PieceError, match="at most 512"):
        split(CHANGE, shipped)
    assert MESSAGE_CHARACTERS > PIECE_CHARACTERS
