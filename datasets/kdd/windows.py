"""The traffic features of KDD Cup 99: both windows, over a stream of connections.

Task description, table 3, and Lee and Stolfo 2000: a connection looks back at those to the *same
host* and those to the *same service*, in the past two seconds and among the last 100 connections.
It is one of them itself (so the files, but for two of 494,021 counts). All shares are of what the
same window holds.

SYN errors are S0, S1, S2, S3 and SH, REJ errors are REJ, RSTO, RSTOS0 and RSTR: measured in
``kddcup.data_10_percent``, on the records that have the window to themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

WINDOW_US = 2_000_000
HOST_WINDOW = 100
MAX_HOST_WINDOW = 255
"""The files' ``dst_host_count`` goes up to 255: their window was longer than Lee and Stolfo's."""
COUNT_CAP = 511
"""The files' ``count`` and ``srv_count`` stop there; shares are of the whole window."""
MAX_CARRIED = 1 << 18
"""Connections kept to look back at; of a longer window the oldest are forgotten and counted."""

FLAGS = ("OTH", "REJ", "RSTO", "RSTOS0", "RSTR", "S0", "S1", "S2", "S3", "SF", "SH")
SYN_ERRORS = frozenset(("S0", "S1", "S2", "S3", "SH"))
REJ_ERRORS = frozenset(("REJ", "RSTO", "RSTOS0", "RSTR"))
_SYN_ERROR = np.array([flag in SYN_ERRORS for flag in FLAGS])
_REJ_ERROR = np.array([flag in REJ_ERRORS for flag in FLAGS])

SEEN = np.dtype(
    [
        ("start_us", "<i8"),
        ("dst", "<u8", (2,)),
        ("src_port", "<u2"),  # 0 where the protocol has no ports
        ("service", "u1"),
        ("flag", "u1"),  # index into FLAGS
    ]
)
"""What the windows need of a connection."""

TRAFFIC: tuple[str, ...] = (
    *("count", "srv_count", "serror_rate", "srv_serror_rate", "rerror_rate", "srv_rerror_rate"),
    *("same_srv_rate", "diff_srv_rate", "srv_diff_host_rate"),
    *("dst_host_count", "dst_host_srv_count", "dst_host_same_srv_rate", "dst_host_diff_srv_rate"),
    *("dst_host_same_src_port_rate", "dst_host_srv_diff_host_rate", "dst_host_serror_rate"),
    *("dst_host_srv_serror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate"),
)
"""Features that the windows give, in the order of the files."""


class _Group:
    """Rows that share a key, to count those of row i's key in [low[i], i]."""

    def __init__(self, key: NDArray[Any]) -> None:
        n = len(key)
        self.order = np.argsort(key, kind="stable")
        ordered = key[self.order]
        number = np.zeros(n, np.int64)
        np.cumsum(ordered[1:] != ordered[:-1], out=number[1:])
        self._place = number * n + self.order  # ascending
        self._base = np.empty(n, np.int64)
        self._base[self.order] = number * n
        self._end = np.empty(n, np.int64)
        self._end[self.order] = np.arange(1, n + 1)

    def count(self, low: Ints) -> tuple[Ints, Ints]:
        """(where each row's window begins, where it ends) among the ordered rows."""
        return np.searchsorted(self._place, self._base + low), self._end

    def marked(self, mask: NDArray[np.bool_], begin: Ints, end: Ints) -> Ints:
        """How many of each window are marked."""
        running = np.concatenate(([0], np.cumsum(mask[self.order])))
        out: Ints = running[end] - running[begin]
        return out


def _share(part: Ints, whole: Ints) -> NDArray[np.float64]:
    """Two decimals, half to even, as the files have them; exact up to 2**46."""
    out: NDArray[np.float64] = np.rint(100 * part / whole) / 100
    return out


def _numbered(*columns: NDArray[Any]) -> Ints:
    """A number for each row, equal where all columns are."""
    out = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        distinct, inverse = np.unique(column, return_inverse=True)
        _, out = np.unique(out * len(distinct) + inverse, return_inverse=True)
    return out


class TrafficWindows:
    """The windows of one stream. ``host_window``: connections in the longer one, at most 255."""

    def __init__(self, *, host_window: int = HOST_WINDOW) -> None:
        if not 1 <= host_window <= MAX_HOST_WINDOW:
            raise ValueError(f"host window must lie in [1, {MAX_HOST_WINDOW}], got {host_window}")
        self._host_window = host_window
        self._carried = np.zeros(0, SEEN)
        self.cut = 0
        """Connections forgotten inside a window."""

    def add(self, seen: NDArray[np.void]) -> dict[str, NDArray[Any]]:
        """The features `TRAFFIC` of connections, (n,) of `SEEN`, in order of their start.

        One that comes late (its start lies before another's that was here) is taken to start with
        the latest so far.
        """
        first = len(self._carried)
        rows = np.concatenate((self._carried, seen))
        rows["start_us"] = np.maximum.accumulate(rows["start_us"])
        n = len(rows)
        dst, service = _numbered(rows["dst"][:, 0], rows["dst"][:, 1]), rows["service"]
        host, srv = _Group(dst), _Group(service)
        both = _Group(dst * len(_BYTE) + service)
        port = _Group(dst << 16 | rows["src_port"])
        syn, rej = _SYN_ERROR[rows["flag"]], _REJ_ERROR[rows["flag"]]
        start = rows["start_us"]
        by_time = np.searchsorted(start, start - WINDOW_US)
        by_number = np.maximum(np.arange(n) - self._host_window + 1, 0)
        out: dict[str, NDArray[Any]] = {}
        for prefix, low in (("", by_time), ("dst_host_", by_number)):
            host_at, srv_at = host.count(low), srv.count(low)
            hosts, srvs = host_at[1] - host_at[0], srv_at[1] - srv_at[0]
            begin, end = both.count(low)
            same = end - begin
            cap = COUNT_CAP if not prefix else self._host_window
            out[prefix + "count"] = np.minimum(hosts, cap)
            out[prefix + "srv_count"] = np.minimum(srvs, cap)
            for name, mask in (("serror_rate", syn), ("rerror_rate", rej)):
                out[prefix + name] = _share(host.marked(mask, *host_at), hosts)
                out[f"{prefix}srv_{name}"] = _share(srv.marked(mask, *srv_at), srvs)
            out[prefix + "same_srv_rate"] = _share(same, hosts)
            out[prefix + "diff_srv_rate"] = _share(hosts - same, hosts)
            out[prefix + "srv_diff_host_rate"] = _share(srvs - same, srvs)
            if prefix:
                begin, end = port.count(low)
                out[prefix + "same_src_port_rate"] = _share(end - begin, hosts)
        inside = np.searchsorted(start, start[-1] - WINDOW_US) if n else 0
        keep = max(n - int(inside), self._host_window)
        if keep > MAX_CARRIED:
            self.cut += keep - MAX_CARRIED
            keep = MAX_CARRIED
        self._carried = rows[-keep:].copy()
        return {name: out[name][first:] for name in TRAFFIC}


_BYTE = range(256)
