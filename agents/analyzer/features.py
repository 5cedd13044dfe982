"""Connection records to numbers: the KDD Cup 99 features that packets alone can give.

KDD Cup 99 (task description, tables 1 to 3) describes a connection by itself, by its neighbours of
the last two seconds and by the last 100 connections. `FeatureExtractor` computes these in a stream:
it keeps the connections that later ones may still look back at, and nothing else.

All columns lie in [0, 1], so that one unit of Euclidean distance means about the same in each:
flags and shares as they are, counts and sizes as ``log(1 + x) / log(1 + cap)``, clipped.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ontology.ordering import stable_order
from ontology.records import CONNECTION, CONNECTION_STATES

WINDOW_US = 2_000_000
"""Length of the time window: "in the past two seconds" (KDD Cup 99, table 3)."""
HOST_WINDOW = 100
"""Length of the host window in connections (Lee and Stolfo 2000; KDD Cup 99's ``dst_host_*``)."""
MAX_CARRIED = 8192
"""Connections kept to look back at. A window with more (a flood) is cut at its old end: the counts
saturate at `COUNT_CAP` long before, only their shares lose precision."""
COUNT_CAP = 511
"""KDD Cup 99 itself stops counting neighbours there."""

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
"""TCP flag bits, RFC 9293 section 3.1."""
ICMP, TCP, UDP, ICMPV6, ARP = 1, 6, 17, 58, 254
"""IANA protocol numbers; 254 is `CONNECTION`'s stand-in for ARP."""

STATE = {name: index for index, name in enumerate(CONNECTION_STATES)}

SERVICE_GROUPS: dict[str, tuple[int, ...]] = {
    "http": (80, 443, 8000, 8008, 8080, 8443),
    "dns": (53, 5353),
    "ftp": (20, 21, 990),
    "shell": (22, 23, 513, 514, 3389),
    "mail": (25, 110, 143, 465, 587, 993, 995),
    "time": (123,),
}
"""Services that behave alike; the rest is ``system`` (below 1024) or ``high``."""

# For each port the position of its group; behind the last ``system`` and ``high``, 255 for port 0.
_SERVICE = np.full(1 << 16, len(SERVICE_GROUPS) + 1, np.uint8)
_SERVICE[:1024] = len(SERVICE_GROUPS)
_SERVICE[0] = 255
for _number, _ports in enumerate(SERVICE_GROUPS.values()):
    _SERVICE[list(_ports)] = _number

# For each protocol the position of its column behind ``protocol_tcp``.
_KIND = np.full(256, 3, np.uint8)
_KIND[[TCP, UDP, ICMP, ICMPV6]] = 0, 1, 2, 2

_SCALED = (
    ("duration", 3600.0),  # seconds
    ("src_bytes", 1e7),
    ("dst_bytes", 1e7),
    ("src_packets", 1e4),
    ("dst_packets", 1e4),
    ("wrong_fragment", 10.0),
    ("urgent", 10.0),
    ("num_failed_logins", 10.0),
    ("hot", 6.0),  # indicators seen in the payload
)
_ORIG_FLAGS = (
    ("orig_fin", FIN),
    ("orig_syn", SYN),
    ("orig_rst", RST),
    ("orig_psh", PSH),
    ("orig_ack", ACK),
    ("orig_urg", URG),
)
_FLAGS = np.array([[float(value & bit > 0) for _, bit in _ORIG_FLAGS] for value in range(256)])
"""For each value of the flags the columns of `_ORIG_FLAGS`."""
_RATES = (
    "serror_rate",
    "rerror_rate",
    "same_srv_rate",
    "srv_serror_rate",
    "srv_rerror_rate",
    "srv_diff_host_rate",
)

FEATURES: tuple[str, ...] = (
    *(name for name, _ in _SCALED),
    "land",
    *(f"protocol_{name}" for name in ("tcp", "udp", "icmp", "other")),
    *(f"service_{name}" for name in (*SERVICE_GROUPS, "system", "high")),
    *(f"flag_{name}" for name in CONNECTION_STATES),
    *(name for name, _ in _ORIG_FLAGS),
    "count",
    "srv_count",
    *_RATES,
    "dst_host_count",
    "dst_host_srv_count",
    "dst_host_same_src_port_rate",
    *(f"dst_host_{name}" for name in _RATES),
)
"""Column names, in order. Plain rates look back two seconds, ``dst_host_`` ones 100 connections;
``serror`` is a SYN without an answer (S0, SH), ``rerror`` a refused one (REJ)."""

FEATURES_HASH = hashlib.sha256("\n".join(FEATURES).encode()).hexdigest()
"""Kept in a model: a model of other columns must not be used."""


def address_ids(
    addresses: NDArray[np.uint8],
) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """The distinct addresses of an (n, 16) column, and for each row the index of its own.

    Exact, not hashed: two addresses that an attacker chose to collide must stay two.
    """
    _, first, inverse = np.unique(
        _address_keys(_halves(addresses)), return_index=True, return_inverse=True
    )
    flat = np.ascontiguousarray(addresses).view("S16").reshape(-1)
    return flat[first], inverse.astype(np.int64)


def _halves(addresses: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(addresses).view(">u8").astype(np.uint64)


def _address_keys(halves: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A number for each address of an (n, 2) column, in their order."""
    upper, lower = halves[:, 0], halves[:, 1]
    if not len(upper) or not (upper != upper[0]).any():  # as with IPv4 alone
        return lower
    _, upper_ids = np.unique(upper, return_inverse=True)
    distinct, lower_ids = np.unique(lower, return_inverse=True)
    return (upper_ids * len(distinct) + lower_ids).astype(np.uint64)


_LOW_HALF = (1 << 32) - 1
_STEP_BITS = 24
"""A service is its protocol and port: 24 bits."""
_TABLE_CAP = 10_000.0
_COLUMN = {name: number for number, name in enumerate(FEATURES)}


@cache
def _table(cap: int) -> NDArray[np.float64]:
    """The scaled values of 0 to ``cap``: counts are small, and a logarithm costs ten look-ups."""
    return np.asarray(np.minimum(np.log1p(np.arange(cap + 1.0)) / np.log1p(cap), 1.0))


def _scaled(values: NDArray[Any], cap: float) -> NDArray[np.float64]:
    """``values``: not negative."""
    if values.dtype.kind in "ui" and cap <= _TABLE_CAP:
        places = np.minimum(values, int(cap)).astype(np.int64)
        return np.asarray(_table(int(cap)).take(places), np.float64)
    out = np.zeros(len(values))
    some = np.flatnonzero(values)
    if len(some):
        scaled = np.log1p(values[some].astype(np.float64)) / np.log1p(cap)
        out[some] = np.minimum(scaled, 1.0)
    return out


class _Lookback:
    """The rows sorted by a key, to count those that share row i's key and lie in [low[i], i].

    Counts are taken for rows ``first`` to the end only; the rest is there to be looked back at.
    Key and row share one word, so the sorted words are both the order and what is searched.
    """

    def __init__(self, key: NDArray[Any], first: int) -> None:
        n = len(key)
        self._shift = np.uint64((n - 1).bit_length())
        low, high = key.min(), key.max()
        if int(high) - int(low) >= 1 << (64 - int(self._shift)):
            _, key = np.unique(key, return_inverse=True)
            low = key.min()
        words = key.astype(np.uint64)
        words -= low.astype(np.uint64)
        words <<= self._shift
        words |= np.arange(n, dtype=np.uint64)
        words.sort()
        self._words = words
        mask = (np.uint64(1) << self._shift) - np.uint64(1)
        self.order = (words & mask).view(np.int64)
        """All rows by key, then by number."""
        self._at = np.flatnonzero(self.order >= first)
        self._row = self.order[self._at] - first
        self._key = words[self._at] & ~mask

    def ids(self) -> NDArray[np.uint64]:
        """The key's number among the distinct ones, for each row."""
        keys = self._words >> self._shift
        begins = np.concatenate(([0], np.flatnonzero(keys[1:] != keys[:-1]) + 1, [len(keys)]))
        out = np.empty(len(keys), np.uint64)
        out[self.order] = np.repeat(np.arange(len(begins) - 1, dtype=np.uint64), np.diff(begins))
        return out

    def count(
        self, low: NDArray[np.int64], running: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many rows each row looks back at, itself included, and the sum of their marks.

        ``running``: the marks' sums by `order`, beginning with 0.
        """
        # By key, then by row, and `low` rises with the row: ascending, the quickest to search.
        begin = np.searchsorted(self._words, self._key | low[self._row].view(np.uint64))
        end = self._at + 1
        size = np.empty(len(low), np.int64)
        size[self._row] = end - begin
        if running is None:
            return size, size
        marks = np.empty(len(low), np.int64)
        marks[self._row] = running[end] - running[begin]
        return size, marks


def _running(order: NDArray[np.int64], marks: NDArray[np.int64]) -> NDArray[np.int64]:
    out = np.zeros(len(order) + 1, np.int64)
    np.cumsum(marks[order], out=out[1:])
    return out


def _basic(rows: NDArray[np.void], out: NDArray[np.float64]) -> None:
    """Fill the columns that a connection gives by itself; ``out`` is all zero."""
    protocol, state = rows["protocol"], rows["state"]
    indicators = rows["indicators"]
    hot = np.zeros(len(rows), np.int64)
    if indicators.any():
        for bit in range(6):
            hot += ((indicators >> bit) & 1).astype(np.int64)
    values: tuple[Any, ...] = (
        np.maximum(rows["duration_us"], 0) / 1e6,
        rows["orig_bytes"],
        rows["resp_bytes"],
        rows["orig_packets"],
        rows["resp_packets"],
        rows["wrong_fragments"],
        rows["urgent"],
        rows["failed_logins"],
        hot,
    )
    for number, (value, (_, cap)) in enumerate(zip(values, _SCALED, strict=True)):
        if value.any():  # a scaled 0 is 0
            out[:, number] = _scaled(value, cap)
    same = np.flatnonzero(rows["src_port"] == rows["dst_port"])
    if len(same):
        land = (rows["src"][same] == rows["dst"][same]).all(axis=1)
        out[same[land], _COLUMN["land"]] = 1.0
    # One 1 in each group of columns: as positions in the flat array.
    flat, line = out.reshape(-1), np.arange(len(rows)) * len(FEATURES)
    flat[line + _COLUMN["protocol_tcp"] + _KIND[protocol]] = 1.0
    ported = (protocol == TCP) | (protocol == UDP)
    service = _SERVICE[np.where(ported, rows["dst_port"], 0)]
    some = np.flatnonzero(service < 255)
    flat[line[some] + _COLUMN["service_http"] + service[some]] = 1.0
    known = np.flatnonzero(state < len(CONNECTION_STATES))
    flat[line[known] + _COLUMN[f"flag_{CONNECTION_STATES[0]}"] + state[known]] = 1.0
    column = _COLUMN[_ORIG_FLAGS[0][0]]
    out[:, column : column + len(_ORIG_FLAGS)] = _FLAGS.take(rows["orig_flags"], axis=0)


@dataclass(slots=True, eq=False)
class _Seen:
    """Columns of what later connections look back at."""

    start_us: NDArray[np.int64]
    dst: NDArray[np.uint64]
    """(n, 2) the halves of the address."""
    service: NDArray[np.uint64]
    src_port: NDArray[np.uint64]
    marks: NDArray[np.int64]
    """1 for a SYN without an answer, 1 << 32 for a refused one: sums stay below 2**32 each."""

    @classmethod
    def of(cls, rows: NDArray[np.void]) -> _Seen:
        protocol, state = rows["protocol"], rows["state"]
        service = protocol.astype(np.uint64) << np.uint64(16) | rows["dst_port"]
        silent = ((state == STATE["S0"]) | (state == STATE["SH"])) & (protocol == TCP)
        marks = silent.astype(np.int64) | (state == STATE["REJ"]).astype(np.int64) << 32
        return cls(
            rows["start_us"].astype(np.int64),
            _halves(rows["dst"]),
            service,
            rows["src_port"].astype(np.uint64),
            marks,
        )

    def __len__(self) -> int:
        return len(self.start_us)

    def joined(self, later: _Seen) -> _Seen:
        pairs = ((getattr(self, f.name), getattr(later, f.name)) for f in fields(self))
        return _Seen(*(np.concatenate(pair) for pair in pairs))

    def last(self, count: int) -> _Seen:
        return _Seen(*(getattr(self, f.name)[-count:].copy() for f in fields(self)))


def _windows(rows: _Seen, first: int, out: NDArray[np.float64]) -> None:
    """Both windows of rows[first:]; rows are in order of time, with what is looked back at."""
    index = np.arange(first, len(rows))
    host = _Lookback(_address_keys(rows.dst), first)
    srv = _Lookback(rows.service, first)
    host_ids = host.ids()
    pair = host_ids << np.uint64(_STEP_BITS) | rows.service
    both = _Lookback(pair, first)
    near = max(first - HOST_WINDOW + 1, 0)  # before it, no row lies in a host window
    source_port = _Lookback(pair[near:] << np.uint64(16) | rows.src_port[near:], first - near)
    host_running = _running(host.order, rows.marks)
    srv_running = _running(srv.order, rows.marks)

    # A far-off or negative clock must not push the window's edge past the row itself.
    start = rows.start_us
    by_time = np.searchsorted(start, start[first:] - WINDOW_US).astype(np.int64)
    by_number = np.maximum(index - HOST_WINDOW + 1, 0)
    column = _COLUMN["count"]
    for low, cap in ((np.minimum(by_time, index), COUNT_CAP), (by_number, HOST_WINDOW)):
        host_size, host_marks = host.count(low, host_running)
        srv_size, srv_marks = srv.count(low, srv_running)
        both_size, _ = both.count(low)
        shares = [
            (host_marks & _LOW_HALF, host_size),
            (host_marks >> 32, host_size),
            (both_size, host_size),
            (srv_marks & _LOW_HALF, srv_size),
            (srv_marks >> 32, srv_size),
            (both_size, srv_size),
        ]
        if low is by_number:
            shares.insert(0, (source_port.count(low - near)[0], host_size))
        out[:, column] = _scaled(host_size, cap)
        out[:, column + 1] = _scaled(srv_size, cap)
        column += 2
        for part, size in shares:
            np.divide(part, size, out=out[:, column])
            column += 1
        # Of the service's, the share at other hosts.
        np.subtract(1.0, out[:, column - 1], out=out[:, column - 1])


class FeatureExtractor:
    """Features of a stream of connections; holds the connections that the windows still need."""

    def __init__(self) -> None:
        self._carried = _Seen.of(np.empty(0, CONNECTION))
        self.cut = 0
        """Connections that were inside a window but beyond `MAX_CARRIED`."""

    def extract(self, connections: NDArray[np.void]) -> NDArray[np.float64]:
        """``connections``: (n,) of `CONNECTION`. Returns (n, len(FEATURES)), same order.

        A connection that arrives late (a long one) looks back at what has arrived before it, so
        the values depend a little on how a stream is cut into batches, as in any live system.
        """
        n = len(connections)
        if n == 0:
            return np.empty((0, len(FEATURES)))
        start = connections["start_us"]
        order = None
        if (start[1:] < start[:-1]).any():
            order = stable_order(start)
            connections = connections.take(order)
        first = len(self._carried)
        rows = self._carried.joined(_Seen.of(connections))
        if first and rows.start_us[first] < rows.start_us[first - 1]:
            # Stragglers: look back from the newest time instead of searching an unsorted column.
            rows.start_us = np.maximum.accumulate(rows.start_us)
        out = np.zeros((n, len(FEATURES)))
        _basic(connections, out)
        _windows(rows, first, out)
        newest = rows.start_us[-1]
        inside = int(np.searchsorted(rows.start_us, newest - WINDOW_US))
        keep = max(len(rows) - inside, HOST_WINDOW)
        if keep > MAX_CARRIED:
            self.cut += keep - MAX_CARRIED
            keep = MAX_CARRIED
        self._carried = rows.last(keep)
        if order is None:
            return out
        unordered = np.empty_like(out)
        unordered[order] = out
        return unordered
