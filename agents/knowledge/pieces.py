"""Files on their way: a version cut into pieces that fit into messages, and put together again.

Pure. What arrives is not trusted beyond its signature: names, numbers and sizes are bounded, a file
is unpacked no further than the length that was announced, and nothing counts before the digest of
every file and the digest over all of them are right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from agents.knowledge.files import (
    FILE_NAME,
    MAX_FILE_BYTES,
    MAX_TOTAL_BYTES,
    FileSet,
    FileSetError,
)
from ontology.records import KnowledgePiece, OntologyChanged

PIECE_CHARACTERS = 120_000
"""Longest `KnowledgePiece.data`; a message has at most 200,000 bytes of content."""
MESSAGE_CHARACTERS = 180_000
"""Of data in one message. The shipped files make 147,000, so that they travel in one."""
MAX_PIECES = 512
"""Of one announcement: 60 MB packed. The shipped files make 12."""
MAX_FILES = 32

_PER_PIECE = 500
"""What a piece takes in a message beside its data."""


class PieceError(ValueError):
    """Pieces that are not what was announced; the message is one line naming the file."""


def split(change: OntologyChanged, files: FileSet) -> tuple[OntologyChanged, list[KnowledgePiece]]:
    """The announcement with its count of pieces, and all pieces, file by file.

    Raises: PieceError if there are too many.
    """
    pieces: list[KnowledgePiece] = []
    for name, data in sorted(files.contents.items()):
        packed = base64.b64encode(zlib.compress(data, 9)).decode("ascii")
        parts = [
            packed[begin : begin + PIECE_CHARACTERS]
            for begin in range(0, len(packed), PIECE_CHARACTERS)
        ]
        digest = hashlib.sha256(data).hexdigest()
        pieces += [
            KnowledgePiece(
                id=uuid.uuid5(uuid.NAMESPACE_URL, f"{change.id} {name} {number}").urn,
                announcement=change.id,
                file_name=name,
                piece_number=number,
                piece_count=len(parts),
                file_bytes=len(data),
                digest=digest,
                data=part,
            )
            for number, part in enumerate(parts, 1)
        ]
    if len(pieces) > MAX_PIECES:
        raise PieceError(f"{len(pieces)} pieces, at most {MAX_PIECES}: the files are too large")
    return replace(change, digest=files.digest, piece_count=len(pieces)), pieces


def by_message(pieces: Sequence[KnowledgePiece]) -> Iterator[tuple[KnowledgePiece, ...]]:
    """The pieces in groups of which each fits into one message, in their order."""
    group: list[KnowledgePiece] = []
    size = 0
    for piece in pieces:
        own = len(piece.data) + _PER_PIECE
        if group and size + own > MESSAGE_CHARACTERS:
            yield tuple(group)
            group, size = [], 0
        group.append(piece)
        size += own
    if group:
        yield tuple(group)


@dataclass(slots=True)
class _Incoming:
    count: int
    file_bytes: int
    digest: str
    parts: dict[int, str]


class Assembly:
    """The pieces of one announcement, in whatever order and number they come."""

    def __init__(self, change: OntologyChanged) -> None:
        """Raises: PieceError if the announcement itself is out of bounds."""
        if not 1 <= change.piece_count <= MAX_PIECES:
            raise PieceError(f"{change.piece_count} pieces announced, wanted 1 to {MAX_PIECES}")
        self.change = change
        self._files: dict[str, _Incoming] = {}

    @property
    def missing(self) -> int:
        """How many pieces have not arrived."""
        return self.change.piece_count - sum(len(f.parts) for f in self._files.values())

    def add(self, piece: KnowledgePiece) -> None:
        """Take a piece; one that is there already changes nothing.

        Raises: PieceError if it does not fit to the announcement or to the pieces before it.
        """
        name = piece.file_name
        if piece.announcement != self.change.id:
            raise PieceError(f"{name[:80]!r}: a piece of another announcement")
        if not FILE_NAME.fullmatch(name):
            raise PieceError(f"{name[:80]!r} is no name for a file of ontology and rules")
        if len(piece.data) > PIECE_CHARACTERS:
            raise PieceError(f"{name}: a piece of {len(piece.data)} characters")
        if piece.file_bytes > MAX_FILE_BYTES:
            raise PieceError(f"{name}: {piece.file_bytes} bytes, at most {MAX_FILE_BYTES}")
        file = self._files.get(name)
        if file is None:
            file = self._begin(piece)
        elif (file.count, file.file_bytes, file.digest) != (
            piece.piece_count,
            piece.file_bytes,
            piece.digest,
        ):
            raise PieceError(f"{name}: two pieces disagree about the file")
        known = file.parts.get(piece.piece_number)
        if known is not None and known != piece.data:
            raise PieceError(f"{name}: piece {piece.piece_number} came twice and differs")
        if known is None and not self.missing:
            raise PieceError(f"{name}: more pieces than the {self.change.piece_count} announced")
        file.parts[piece.piece_number] = piece.data

    def _begin(self, piece: KnowledgePiece) -> _Incoming:
        if len(self._files) >= MAX_FILES:
            raise PieceError(f"more than {MAX_FILES} files")
        total = sum(f.file_bytes for f in self._files.values()) + piece.file_bytes
        if total > MAX_TOTAL_BYTES:
            raise PieceError(f"{total} bytes in all, at most {MAX_TOTAL_BYTES}")
        file = _Incoming(piece.piece_count, piece.file_bytes, piece.digest, {})
        self._files[piece.file_name] = file
        return file

    def files(self) -> FileSet:
        """The files once no piece is missing, each checked against its digest, and all of them
        against the announcement's.

        Raises: PieceError.
        """
        if self.missing:
            raise PieceError(f"{self.missing} of {self.change.piece_count} pieces are missing")
        contents: dict[str, bytes] = {}
        for name, file in sorted(self._files.items()):
            if len(file.parts) != file.count:
                raise PieceError(f"{name}: {len(file.parts)} of {file.count} pieces")
            data = _unpack(name, file)
            if hashlib.sha256(data).hexdigest() != file.digest:
                raise PieceError(f"{name}: its SHA-256 is not {file.digest[:64]}")
            contents[name] = data
        try:
            found = FileSet(contents)
        except FileSetError as e:
            raise PieceError(str(e)) from e
        if found.digest != self.change.digest:
            raise PieceError(
                f"the SHA-256 over all files is {found.digest}, announced was "
                f"{self.change.digest[:64]!r}"
            )
        return found


def _unpack(name: str, file: _Incoming) -> bytes:
    packed = "".join(file.parts[number] for number in range(1, file.count + 1))
    unpacker = zlib.decompressobj()
    try:
        # One byte more than announced shows that there is more, and costs no more than that.
        data = unpacker.decompress(base64.b64decode(packed, validate=True), file.file_bytes + 1)
    except (binascii.Error, zlib.error, ValueError) as e:
        raise PieceError(f"{name}: not zlib in base64: {e}") from e
    if len(data) != file.file_bytes or not unpacker.eof or unpacker.unused_data:
        raise PieceError(f"{name}: unpacks to something else than {file.file_bytes} bytes")
    return data
