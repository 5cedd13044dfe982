"""Tunnels in HTTP: what travels in the bodies of small requests and answers, enciphered, both ways.

A tunnel (httptunnel, the web shells that pass connections on) sends what it has when it has it, in
small pieces, and what a session needs comes back the same way. Uploads and downloads are large;
forms, JSON and pages are text; what is compressed says so in its head. So it is the small pieces
whose bytes are spread evenly, without a head that explains it, in both directions. One
direction alone (measurements in a form of their own), or what calls itself binary, is low.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from zlib import crc32

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray

from agents.sensor.flows.packets import Ints
from agents.sensor.watch_alerts import SECOND, Sighting
from ontology.addresses import to_address

PIECES = 20
"""In each direction: fewer carry no session."""
BYTES = 1024
"""Looked at in each direction, at least; the entropy of fewer is too uncertain."""
SMALL = 1200
"""Bytes of a packet's payload: what has more to send fills its segments."""
SAMPLE = 256
"""Bytes looked at of a piece, the block size of Lyda and Hamrock."""
ENTROPY = 7.1
"""Bits a byte. Enciphered: 7.17 and more; packed programs 6.8, programs 5.1, text 4.3 (Lyda and
Hamrock, "Using Entropy Analysis to Find Encrypted and Packed Malware", IEEE Security & Privacy
2007)."""
CODED_ENTROPY = 5.7
"""The same in base64, whose most is 6; words and JSON in its characters stay below 5.4."""
CODED_SHARE = 0.98
WINDOW_US = 300 * SECOND
MAX_PAIRS = 1024
MAX_SEEN = 256
"""Pieces known again, of each direction."""
ONE_SIDED, BOTH, MOST = 0.4, 0.6, 0.8
"""Confidences: of requests alone, both ways, and both ways ten times as much."""
_CODED: Final = np.zeros(256, np.bool_)
_CODED[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_\r\n")] = True
_EXPLAINED: Final = (
    b"multipart/", b"image/", b"audio/", b"video/", b"font/", b"zip", b"compress", b"pdf", b"ocsp",
    b"timestamp-", b"grpc", b"protobuf", b"msgpack", b"cbor", b"x-tar", b"ipp", b"kerberos",
)  # fmt: skip
"""Types of bodies whose bytes are spread evenly by themselves."""
_TEXTS: Final = (b"text/", b"urlencoded", b"json", b"xml", b"script")


@dataclass(slots=True)
class _Way:
    """What went in one direction."""

    pieces: int = 0
    size: int = 0
    bytes: Ints = field(default_factory=lambda: np.zeros(256, np.int64))
    seen: set[int] = field(default_factory=set)

    def add(self, sample: NDArray[np.uint8], size: int) -> None:
        # What is enciphered never comes again; a program's own form of asking does.
        mark = crc32(sample.tobytes())
        if mark in self.seen:
            return
        if len(self.seen) < MAX_SEEN:
            self.seen.add(mark)
        self.pieces += 1
        self.size += size
        self.bytes += np.bincount(sample, minlength=256)

    def enciphered(self) -> bool:
        """Enough of it, and spread as only what is enciphered (or compressed) is."""
        total = int(self.bytes.sum())
        if self.pieces < PIECES or total < BYTES:
            return False
        shares = self.bytes[self.bytes > 0] / total
        entropy = -float((shares * np.log2(shares)).sum())
        if entropy >= ENTROPY:
            return True
        return entropy >= CODED_ENTROPY and int(self.bytes[_CODED].sum()) >= CODED_SHARE * total


@dataclass(slots=True)
class _Pair:
    begin_us: int
    last_us: int
    up: _Way = field(default_factory=_Way)
    down: _Way = field(default_factory=_Way)
    named: int = 0
    """Pieces in requests whose head calls them binary."""
    reported: int = 0
    """Pieces when last reported."""
    confidence: float = 0.0


class HttpTunnels:
    """Pieces of bodies by client and server. Pure: time comes with them."""

    def __init__(self) -> None:
        self._pairs: LRUCache[tuple[bytes, bytes, int], _Pair] = LRUCache(MAX_PAIRS)
        self.evicted = 0

    def sends(self, client: bytes, server: bytes, port: int) -> bool:
        """Whether the client's bodies have begun to look like a tunnel's, so that answers to other
        requests of his are worth a look."""
        pair = self._pairs.get((client, server, port)) if self._pairs else None
        return pair is not None and pair.up.pieces >= PIECES // 4

    def on_piece(
        self,
        client: bytes,
        server: bytes,
        port: int,
        at_us: int,
        sample: NDArray[np.uint8],
        size: int,
        *,
        up: bool,
        named: bool = False,
    ) -> Sighting | None:
        """``sample``: the first bytes of a piece of ``size`` bytes; ``up``: from the client;
        ``named``: the head calls it binary."""
        key = (client, server, port)
        pair = self._pairs.get(key)
        if pair is None or at_us - pair.begin_us > WINDOW_US:
            self.evicted += pair is None and len(self._pairs) >= MAX_PAIRS
            pair = self._pairs[key] = _Pair(at_us, at_us)
        pair.last_us = max(at_us, pair.last_us)
        (pair.up if up else pair.down).add(sample, size)
        pair.named += up and named
        pieces = pair.up.pieces + pair.down.pieces
        # Only now and then: sums over all bytes are dearer than a piece.
        if pair.up.pieces < PIECES or pieces % 8 or not pair.up.enciphered():
            return None
        both = pair.down.enciphered()
        # Programs have forms of their own (antivirus, messengers): that much is honest of them.
        open_ = 2 * pair.named >= pair.up.pieces
        if pieces < 2 * pair.reported and (pair.confidence > ONE_SIDED or open_ or not both):
            return None
        fewer = min(pair.up.pieces, pair.down.pieces)
        confidence = ONE_SIDED
        if both and not open_:
            confidence = BOTH + (MOST - BOTH) * min(fewer / (10 * PIECES), 1.0)
        pair.confidence, pair.reported = confidence, pieces
        return Sighting(
            classification="Tunnelling",
            key=f"http|{client.hex()}|{server.hex()}|{port}",
            source=to_address(client),
            target=to_address(server),
            target_port=port,
            begin_us=pair.begin_us,
            end_us=pair.last_us,
            count=pieces,
            confidence=confidence,
            protocol=6,
            explanation=(
                f"{pair.up.pieces} small pieces ({pair.up.size} bytes) in bodies of requests"
                + (
                    f" and {pair.down.pieces} ({pair.down.size} bytes) in answers"
                    if both
                    else ", and none such in answers,"
                )
                + f" in {(pair.last_us - pair.begin_us) / SECOND:.0f} s, spread as what is "
                f"enciphered, and no head says {'more than that' if open_ else 'why'}"
            ),
        )


def explained(head: bytes) -> bool:
    """Whether a head says why its body's bytes are spread evenly."""
    low = head.lower()
    if b"\ncontent-encoding:" in low or b"\nupgrade:" in low:
        return True
    kind = _type(low)
    return any(word in kind for word in _EXPLAINED)


def binary(head: bytes) -> bool:
    """Whether a head calls its body something else than text, and no more."""
    kind = _type(head.lower())
    return bool(kind) and not any(word in kind for word in _TEXTS)


def _type(low: bytes) -> bytes:
    at = low.find(b"\ncontent-type:")
    return low[at + 14 : low.find(b"\r\n", at + 14)].strip() if at >= 0 else b""
