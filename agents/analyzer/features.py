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
    flat = np.ascontiguousarray(addresses).view("S16").reshape(-1)
    distinct, inverse = np.unique(flat, return_inverse=True)
    return distinct, inverse.reshape(-1).astype(np.int64)


def _scaled(values: NDArray[Any], cap: float) -> NDArray[np.float64]:
    scaled = np.log1p(values.astype(np.float64)) / np.log1p(cap)
    return np.asarray(np.minimum(scaled, 1.0), dtype=np.float64)


class _Lookback:
    """Counts the rows that share a key with row i and lie in [low[i], i], for all i at once."""

    def __init__(self, key: NDArray[np.int64], low: NDArray[np.int64]) -> None:
        n = len(key)
        self._order = np.argsort(key, kind="stable")  # by key, then by row
        place = key[self._order] * n + self._order  # ascending: one search finds (key, row)
        self._low = np.searchsorted(place, key[self._order] * n + low[self._order])
        self._n = n
        self.size = self._spread(np.arange(n) - self._low + 1)

    def _spread(self, ordered: NDArray[Any]) -> NDArray[np.float64]:
        out = np.empty(self._n)
        out[self._order] = ordered
        return out

    def total(self, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
        """How many of the rows looked back at have ``mask`` set."""
        running = np.concatenate(([0.0], np.cumsum(mask[self._order])))
        return self._spread(running[1:] - running[self._low])


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
    rest = port > 0
    for ports in SERVICE_GROUPS.values():
        member = np.isin(port, ports)
        rest &= ~member
        columns.append(member)
    columns += [rest & (port < 1024), rest & (port >= 1024)]
    columns += [state == index for index in range(len(CONNECTION_STATES))]
    columns += [(rows["orig_flags"] & bit) > 0 for _, bit in _ORIG_FLAGS]
    return columns


def _windows(rows: NDArray[np.void], first: int) -> list[NDArray[np.float64]]:
    """Both windows of rows[first:]; rows are in order of time, with what is looked back at."""
    n = len(rows)
    index = np.arange(n)
    _, dst = address_ids(rows["dst"])
    service = rows["protocol"].astype(np.int64) << 16 | rows["dst_port"]
    _, service = np.unique(service, return_inverse=True)
    pair = dst * n + service
    _, pair = np.unique(pair, return_inverse=True)
    no_answer = np.isin(rows["state"], (STATE["S0"], STATE["SH"])) & (rows["protocol"] == TCP)
    refused = rows["state"] == STATE["REJ"]
    source_port = (pair.astype(np.int64) << 16) | rows["src_port"]
    _, source_port = np.unique(source_port, return_inverse=True)

    # A far-off or negative clock must not push the window's edge past the row itself.
    by_time = np.searchsorted(rows["start_us"], rows["start_us"] - WINDOW_US).astype(np.int64)
    by_number = np.maximum(index - HOST_WINDOW + 1, 0)
    columns: list[NDArray[np.float64]] = []
    for low, cap in ((np.minimum(by_time, index), COUNT_CAP), (by_number, HOST_WINDOW)):
        host, srv, both = (_Lookback(key, low) for key in (dst, service, pair))
        columns += [_scaled(host.size, cap), _scaled(srv.size, cap)]
        if low is by_number:
            columns.append(_Lookback(source_port, low).size / host.size)
        columns += [
            host.total(no_answer) / host.size,
            host.total(refused) / host.size,
            both.size / host.size,
            srv.total(no_answer) / srv.size,
            srv.total(refused) / srv.size,
            1.0 - both.size / srv.size,
        ]
    return [column[first:] for column in columns]


class FeatureExtractor:
    """Features of a stream of connections; holds the connections that the windows still need."""

    def __init__(self) -> None:
        self._carried: NDArray[np.void] = np.empty(0, CONNECTION)
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
        order = np.argsort(connections["start_us"], kind="stable")
        rows = np.concatenate((self._carried, connections[order]))
        first = len(self._carried)
        if first and rows["start_us"][first] < rows["start_us"][first - 1]:
            # Stragglers: look back from the newest time instead of searching an unsorted column.
            rows = rows.copy()
            rows["start_us"] = np.maximum.accumulate(rows["start_us"])
        features = np.column_stack([*_basic(rows[first:]), *_windows(rows, first)])
        newest = rows["start_us"][-1]
        inside = int(np.searchsorted(rows["start_us"], newest - WINDOW_US))
        keep = max(len(rows) - inside, HOST_WINDOW)
        if keep > MAX_CARRIED:
            self.cut += keep - MAX_CARRIED
            keep = MAX_CARRIED
        self._carried = rows[-keep:].copy()
        out = np.empty_like(features)
        out[order] = features
        return out
