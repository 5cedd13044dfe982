"""Length-prefixed frames between `client` and `worker`: a JSON head and a body of plain bytes.

``uint32 frame length | uint32 head length | head (JSON, UTF-8) | body``, network byte order. No
pickle: the two processes trust each other with facts, never with code.
"""

from __future__ import annotations

import json
import struct
from typing import Any, BinaryIO

MAX_FRAME = 64 * 1024 * 1024
"""Bytes. A window of 300 alerts takes 0.3 MB, its answer about as much."""

PREFIX = struct.Struct(">I")


class FrameError(ValueError):
    """The bytes are not a frame."""


def encode(head: dict[str, Any], body: bytes = b"") -> bytes:
    """One whole frame.

    Raises: FrameError if it would be longer than `MAX_FRAME`.
    """
    text = json.dumps(head, separators=(",", ":")).encode()
    length = PREFIX.size + len(text) + len(body)
    if length > MAX_FRAME:
        raise FrameError(f"a frame of {length} bytes is over the limit of {MAX_FRAME}")
    return b"".join((PREFIX.pack(length), PREFIX.pack(len(text)), text, body))


def frame_length(prefix: bytes) -> int:
    """Bytes that follow the 4-byte ``prefix``.

    Raises: FrameError if that is more than `MAX_FRAME` or too short for a head.
    """
    (length,) = PREFIX.unpack(prefix)
    if not PREFIX.size <= length <= MAX_FRAME:
        raise FrameError(f"frame length {length} is outside [{PREFIX.size}, {MAX_FRAME}]")
    return int(length)


def decode(frame: bytes) -> tuple[dict[str, Any], bytes]:
    """Head and body of a frame, given without its length prefix.

    Raises: FrameError.
    """
    (size,) = PREFIX.unpack_from(frame)
    end = PREFIX.size + size
    if end > len(frame):
        raise FrameError(f"head of {size} bytes in a frame of {len(frame)}")
    try:
        head = json.loads(frame[PREFIX.size : end])
    except ValueError as e:
        raise FrameError(f"head is not JSON: {e}") from e
    if not isinstance(head, dict):
        raise FrameError("head is not a JSON object")
    return head, frame[end:]


def read(stream: BinaryIO) -> tuple[dict[str, Any], bytes] | None:
    """Next frame of a blocking stream, or None at its end.

    Raises: FrameError.
    """
    prefix = stream.read(PREFIX.size)
    if len(prefix) < PREFIX.size:
        return None
    length = frame_length(prefix)
    frame = stream.read(length)
    if len(frame) < length:
        return None
    return decode(frame)
