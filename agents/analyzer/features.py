"""Connection records to numbers: the KDD Cup 99 features that packets alone can give.

KDD Cup 99 (task description, tables 1 to 3) describes a connection by itself, by its neighbours of
the last two seconds and by the last 100 connections. `FeatureExtractor` computes these in a stream:
it keeps the connections that later ones may still look back at, and nothing else.

All columns lie in [0, 1], so that one unit of Euclidean distance means about the same in each:
flags and shares as they are, counts and sizes as ``log(1 + x) / log(1 + cap)``, clipped.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.ordering import stable_order
from ontology.records import CONNECTION_STATES

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


_SEEN = np.dtype(
    [
        ("start_us", "<i8"),
        ("dst", "<u8", (2,)),
        ("service", "<u4"),
        ("src_port", "<u2"),
        ("no_answer", "?"),
        ("refused", "?"),
    ]
)
_PLAIN = f"V{_SEEN.itemsize}"
_LOW_HALF = (1 << 32) - 1


def _scaled(values: NDArray[Any], cap: float) -> NDArray[np.float64]:
    if not values.any():
        return np.zeros(len(values))
    scaled = np.log1p(values.astype(np.float64)) / np.log1p(cap)
    return np.asarray(np.minimum(scaled, 1.0), dtype=np.float64)


class _Lookback:
    """The rows sorted by a key, to count those that share row i's key and lie in [low[i], i].

    Counts are taken for rows ``first`` to the end only; the rest is there to be looked back at.
    """

    def __init__(self, key: NDArray[Any], first: int, marks: NDArray[np.int64]) -> None:
        n = len(key)
        order = stable_order(key)  # by key, then by row
        ordered = key[order]
        group = np.zeros(n, np.int64)
        np.cumsum((ordered[1:] != ordered[:-1]).astype(np.int64), out=group[1:])
        at = np.empty(n, np.int64)
        at[order] = np.arange(n)
        self.ids = group[at]
        """The key's number among the distinct ones, for each row."""
        self.distinct = int(group[-1]) + 1
        self._place = group * n + order  # ascending: one search finds (key, row)
        self._base = self.ids[first:] * n
        self._end = at[first:] + 1
        self._running = np.zeros(n + 1, np.int64)
        np.cumsum(marks[order], out=self._running[1:])

    def count(self, low: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """How many rows each row looks back at, itself included, and the sum of their marks."""
        begin = np.searchsorted(self._place, self._base + low)
        size = (self._end - begin).astype(np.float64)
        return size, self._running[self._end] - self._running[begin]


def _basic(rows: NDArray[np.void]) -> list[NDArray[Any]]:
    protocol, state = rows["protocol"], rows["state"]
    indicators = rows["indicators"]
    hot = sum(((indicators >> bit) & 1).astype(np.int64) for bit in range(6))
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
    columns: list[NDArray[Any]]
    columns = [_scaled(np.asarray(v), cap) for v, (_, cap) in zip(values, _SCALED, strict=True)]
    columns.append(
        (rows["src"] == rows["dst"]).all(axis=1) & (rows["src_port"] == rows["dst_port"])
    )
    icmp = (protocol == ICMP) | (protocol == ICMPV6)
    known = (protocol == TCP) | (protocol == UDP) | icmp
    columns += [protocol == TCP, protocol == UDP, icmp, ~known]
    port = np.where((protocol == TCP) | (protocol == UDP), rows["dst_port"], 0)
    service = _SERVICE[port]
    columns += [service == number for number in range(len(SERVICE_GROUPS) + 2)]
    columns += [state == index for index in range(len(CONNECTION_STATES))]
    columns += [(rows["orig_flags"] & bit) > 0 for _, bit in _ORIG_FLAGS]
    return columns


def _seen(rows: NDArray[np.void]) -> NDArray[np.void]:
    """What later connections look back at, as `_SEEN`."""
    out = np.empty(len(rows), _SEEN)
    out["start_us"], out["src_port"] = rows["start_us"], rows["src_port"]
    out["dst"] = _halves(rows["dst"])
    protocol, state = rows["protocol"], rows["state"]
    out["service"] = protocol.astype(np.uint32) << 16 | rows["dst_port"]
    out["no_answer"] = ((state == STATE["S0"]) | (state == STATE["SH"])) & (protocol == TCP)
    out["refused"] = state == STATE["REJ"]
    return out


def _windows(rows: NDArray[np.void], first: int) -> list[NDArray[np.float64]]:
    """Both windows of rows[first:]; rows are in order of time, with what is looked back at."""
    n = len(rows)
    index = np.arange(first, n)
    # Both marks in one number: their sums stay below 2**32 each.
    marks = rows["no_answer"].astype(np.int64) | rows["refused"].astype(np.int64) << 32
    host = _Lookback(_address_keys(rows["dst"]), first, marks)
    srv = _Lookback(rows["service"].astype(np.int64), first, marks)
    both = _Lookback(host.ids * srv.distinct + srv.ids, first, marks)
    near = max(first - HOST_WINDOW + 1, 0)  # before it, no row lies in a host window
    ports = rows["src_port"][near:].astype(np.int64)
    source_port = _Lookback(both.ids[near:] << 16 | ports, first - near, marks[near:])

    # A far-off or negative clock must not push the window's edge past the row itself.
    start = rows["start_us"]
    by_time = np.searchsorted(start, start[first:] - WINDOW_US).astype(np.int64)
    by_number = np.maximum(index - HOST_WINDOW + 1, 0)
    columns: list[NDArray[np.float64]] = []
    for low, cap in ((np.minimum(by_time, index), COUNT_CAP), (by_number, HOST_WINDOW)):
        host_size, host_marks = host.count(low)
        srv_size, srv_marks = srv.count(low)
        both_size, _ = both.count(low)
        columns += [_scaled(host_size, cap), _scaled(srv_size, cap)]
        if low is by_number:
            columns.append(source_port.count(low - near)[0] / host_size)
        columns += [
            (host_marks & _LOW_HALF) / host_size,
            (host_marks >> 32) / host_size,
            both_size / host_size,
            (srv_marks & _LOW_HALF) / srv_size,
            (srv_marks >> 32) / srv_size,
            1.0 - both_size / srv_size,
        ]
    return columns


class FeatureExtractor:
    """Features of a stream of connections; holds the connections that the windows still need."""

    def __init__(self) -> None:
        self._carried: NDArray[np.void] = np.empty(0, _SEEN)
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
        # As plain bytes: NumPy copies structured rows field by field.
        both = np.concatenate((self._carried.view(_PLAIN), _seen(connections).view(_PLAIN)))
        rows = both.view(_SEEN)
        first = len(self._carried)
        if first and rows["start_us"][first] < rows["start_us"][first - 1]:
            # Stragglers: look back from the newest time instead of searching an unsorted column.
            rows["start_us"] = np.maximum.accumulate(rows["start_us"])
        columns = [*_basic(connections), *_windows(rows, first)]
        newest = rows["start_us"][-1]
        inside = int(np.searchsorted(rows["start_us"], newest - WINDOW_US))
        keep = max(len(rows) - inside, HOST_WINDOW)
        if keep > MAX_CARRIED:
            self.cut += keep - MAX_CARRIED
            keep = MAX_CARRIED
        self._carried = both[-keep:].copy().view(_SEEN)
        out = np.empty((n, len(FEATURES)))
        for number, column in enumerate(columns):
            out[:, number] = column
        if order is None:
            return out
        unordered = np.empty_like(out)
        unordered[order] = out
        return unordered
