"""Which HTTP requests need reading: all but those that can hold neither an attack nor a login.

Nearly all requests are harmless, so they are let off in two steps. The first compares the bytes of
a whole block at once and may doubt a request without reason, never trust one without. The second
searches the requests that are left for the same things exactly.
"""

from __future__ import annotations

import itertools
import string
from bisect import bisect_right
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import Bytes, Ints
from datasets.captures.pcap import rows

# A request that is not doubtful: the line is method, a target of these characters, version;
# and neither it nor what
# follows holds one of these words, in whatever case.
_TARGET = (string.ascii_letters + string.digits + "/_~?=&,:@!*.-").encode()
_UPPER = string.ascii_uppercase.encode()
_LINE_DOUBTS = (
    *(b"..", b"/etc/", b"/bin/", b"/sbin/", b"/winnt/", b"/system32/", b"/proc/", b"/*"),
    b":",  # a scheme or a drive
    b"/.ht",  # access files of a web server
)
_HEADER_DOUBTS = (b"()", b"${", b"<s", b"basic ")

_CR, _LF = 13, 10
_HTTP = np.uint64(int.from_bytes(b" HTTP/1.", "little"))
_BLANK = np.uint32(int.from_bytes(b"\r\n\r\n", "little"))
_FEW = 8
"""Requests that are searched one by one at once."""
_AT_ONCE = 1 << 18
"""Bytes of requests compared at once: they and what is compared stay in the processor's cache."""
_ROW = 64
"""Bytes compared of a line; a longer one is searched."""
_COLUMNS = np.arange(_ROW, dtype=np.uint8)
# Two bytes of each of `_HEADER_DOUBTS`; of "basic " the rarest.
_TEXT_PAIRS = (b"()", b"${", b"<s", b"<S", b"c ", b"C ")
_NOT_PLAIN = np.ones(256, np.uint8)
_NOT_PLAIN[list(_TARGET)] = 0
_METHODS = tuple(
    (np.uint64((1 << 8 * len(word)) - 1), np.uint64(int.from_bytes(word, "little")))
    for word in b"GET ,POST ,HEAD ,PUT ,OPTIONS ,DELETE ,PATCH ,TRACE ".split(b",")
)


def doubtful(data: Bytes, begins: Ints, ends: Ints) -> NDArray[np.bool_]:
    """Which requests may hold an attack or a login; nothing in the others can.

    ``data[begins[i] : ends[i]]`` is the i-th request or what was captured of it, at least four
    bytes; ``data`` reaches `datasets.captures.pcap.PADDING` bytes beyond the last.
    """
    sizes = ends - begins
    if len(begins) > _FEW and int(sizes.sum()) > _AT_ONCE:
        middle = len(begins) // 2
        halves = slice(middle), slice(middle, None)
        return np.concatenate([doubtful(data, begins[half], ends[half]) for half in halves])
    unclear = np.arange(len(begins))
    if len(begins) >= _FEW:
        heads = rows(data, begins, _ROW)
        heads *= (_COLUMNS < np.minimum(sizes, _ROW).astype(np.uint8)[:, None]).view(np.uint8)
        clear = _clear_lines(heads)
        if clear.any():
            text, first = _aligned(data, begins[clear], ends[clear])
            clear[clear] = ~_unclear_texts(text, first, sizes[clear])
        unclear = np.flatnonzero(~clear)
    out = np.zeros(len(begins), np.bool_)
    if len(unclear):
        found = _search(data.data, begins[unclear].tolist(), ends[unclear].tolist())
        out[unclear[sorted(found)]] = True
    return out


def _aligned(data: Bytes, begins: Ints, ends: Ints) -> tuple[Bytes, Ints]:
    """The requests in rows of `_ROW` bytes, filled up with zeros, and the first row of each."""
    sizes = ends - begins
    counts = (sizes + _ROW - 1) // _ROW
    after = np.cumsum(counts)
    first = after - counts
    at = np.repeat(begins - first * _ROW, counts)
    at += np.arange(len(at)) * _ROW
    text = rows(data, at, _ROW)
    own = (sizes - (counts - 1) * _ROW).astype(np.uint8)
    text[after - 1] *= (_COLUMNS < own[:, None]).view(np.uint8)
    return text, first


def _clear_lines(text: Bytes) -> NDArray[np.bool_]:
    """Which requests begin with a line of `_is_plain` without one of `_LINE_DOUBTS`.

    ``text``: the first `_ROW` bytes of each; a longer line is not clear.
    """
    number = np.arange(len(text))
    stop = (text == _CR).argmax(axis=1)  # 0 where there is none
    clear: NDArray[np.bool_] = (stop > 12) & (stop < _ROW - 1)
    stop = np.where(clear, stop, 12)
    place = number * _ROW + stop
    flat = text.reshape(-1)
    clear &= flat.take(place + 1) == _LF
    digit = flat.take(place - 1)
    clear &= (digit == ord("0")) | (digit == ord("1"))
    clear &= rows(flat, place - 9, 8).view("<u8")[:, 0] == _HTTP
    begin = text.view("<u8")[:, 0].copy()
    known = np.zeros(len(text), np.bool_)
    for mask, word in _METHODS:
        known |= begin & mask == word
    line = _COLUMNS < stop.astype(np.uint8)[:, None]
    # Nothing but the spaces before and behind the target.
    clear &= known & (_counts((_NOT_PLAIN.take(text) & line).view(np.bool_)) == 2)
    clear &= _counts(_line_doubts(text) & line) == 0
    return clear


def _line_doubts(text: Bytes) -> NDArray[np.bool_]:
    """Where in lines a colon stands, or two bytes that a word of `_LINE_DOUBTS` holds.

    The end of a row and the beginning of the next are taken for neighbours.
    """
    flat = text.reshape(-1)
    slash, dot = flat == ord("/"), flat == ord(".")
    doubts = flat == ord(":")
    # "..", "/." and "/*"; the last two bytes of "/etc/" and the other folders.
    doubts[1:] |= dot[1:] & (dot | slash)[:-1]
    doubts[1:] |= (flat == ord("*"))[1:] & slash[:-1]
    folder = flat == ord("c")
    for byte in b"Cnt2NT":
        folder |= flat == byte
    doubts[1:] |= slash[1:] & folder[:-1]
    shaped: NDArray[np.bool_] = doubts.reshape(text.shape)
    return shaped


def _unclear_texts(text: Bytes, first: Ints, sizes: Ints) -> NDArray[np.bool_]:
    """Which requests hold one of `_TEXT_PAIRS`, or a blank line that isn't their end: a second
    request, or a form, would begin behind it."""
    flat = text.reshape(-1)
    whole = text.tobytes()
    found = [
        _pairs(flat, pair)
        for pair in _TEXT_PAIRS
        # A rare byte is looked for at memory speed.
        if pair[:1] in whole and pair[1:] in whole
    ]
    last = first * _ROW + sizes - 4
    ends = rows(flat, last, 4).view("<u4")[:, 0] == _BLANK
    blank = _pairs(flat, b"\n\r")
    if not np.array_equal(blank, last[ends] + 1):
        found.append(blank[~np.isin(blank, last[ends] + 1)])
    out = np.zeros(len(first), np.bool_)
    for places in found:
        out[np.searchsorted(first, places // _ROW, side="right") - 1] = True
    return out


def _pairs(text: Bytes, pair: bytes) -> Ints:
    """Where the two bytes stand one behind the other."""
    both = text[:-1] == pair[0]
    both &= text[1:] == pair[1]
    return np.flatnonzero(both)


def _counts(marks: NDArray[np.bool_]) -> Ints:
    """How many are marked in each row of (n, width), width a multiple of 8 and below 2048."""
    # Eight columns at a time, each in a byte of its own.
    lanes = marks.view(np.uint64).sum(axis=1).view(np.uint8).reshape(-1, 8)
    counts: Ints = lanes.sum(axis=1, dtype=np.int64)
    return counts


def _search(block: memoryview, begins: list[int], ends: list[int]) -> set[int]:
    """The doubtful requests by number. They are searched together: eight searches a block cost less
    than eight a request."""
    doubtful: set[int] = set()
    lines: list[bytes] = []
    rests: list[bytes] = []
    blank = 0
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        request = block[begin:end].tobytes()
        stop = request.find(b"\r\n") + 2
        if not _is_plain(request[: max(stop - 2, 0)]):
            doubtful.add(number)
            lines.append(b"")
            rests.append(b"")
            continue
        lines.append(request[:stop].lower())
        rest = request[stop - 2 :].lower()  # with the line's end, which a blank line begins with
        rests.append(rest)
        blank += rest.endswith(b"\r\n\r\n")
    # None of the words spans two requests: each line ends, and each rest begins, with CR LF.
    _find_all(lines, _LINE_DOUBTS, doubtful)
    _find_all(rests, _HEADER_DOUBTS, doubtful)
    # A second request, or a form, would begin behind the blank line.
    if sum(rest.count(b"\r\n\r\n") for rest in rests) != blank:
        doubtful.update(
            number
            for number, rest in enumerate(rests)
            if rest.find(b"\r\n\r\n") not in (-1, len(rest) - 4)
        )
    return doubtful


def _is_plain(line: bytes) -> bool:
    method, _, rest = line.partition(b" ")
    target, _, version = rest.partition(b" ")
    return (
        version in (b"HTTP/1.0", b"HTTP/1.1")
        and 3 <= len(method) <= 9
        and not method.translate(None, _UPPER)
        and len(target) <= 1000
        and not target.translate(None, _TARGET)
    )


def _find_all(texts: list[bytes], words: Iterable[bytes], numbers: set[int]) -> None:
    """Add the numbers of those texts that hold one of the words."""
    joined = b"".join(texts)
    starts: list[int] = []
    for word in words:
        # A rare byte is looked for at memory speed, a word is not.
        if not all(byte in joined for byte in word):
            continue
        at = joined.find(word)
        while at >= 0:
            starts = starts or [0, *itertools.accumulate(map(len, texts))]
            number = bisect_right(starts, at) - 1
            numbers.add(number)
            at = joined.find(word, starts[number + 1])
