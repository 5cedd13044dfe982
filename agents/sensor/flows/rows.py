"""Open connections as rows of one array, and what of them becomes a record."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.marks import CONTENT_COLUMNS
from agents.sensor.flows.packets import ACK, FIN, SYN, TCP, Ints, Packets
from agents.sensor.flows.tcp_conversations import TALK
from ontology.records import CONNECTION, CONNECTION_STATES

Rows = NDArray[np.void]

# One open connection. "a" and "b" are its ends in canonical order, "rest" ports and protocol.
# From "src" to "ip_version" as in CONNECTION; words lie at multiples of eight.
ROW = np.dtype(
    [
        ("a", "<u8", (2,)),
        ("b", "<u8", (2,)),
        ("rest", "<u8"),
        ("src", "u1", (16,)),
        ("dst", "u1", (16,)),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("protocol", "u1"),
        ("ip_version", "u1"),
        ("orig_side", "?"),  # the originator is the greater end
        ("answered", "?"),
        ("closed", "u1"),  # 1 both FINs, 2 RST by originator, 3 RST by responder
        ("orig_flags", "u1"),
        ("resp_flags", "u1"),
        ("proven", "?"),  # the originator's part in a proven conversation was seen
        ("talk", TALK),  # of these two ends: outlives the connection (`tcp_conversations`)
        ("loose", "?"),  # the report has payload that is part of no proven conversation
        ("unused", "u1", (6,)),
        ("close_us", "<i8"),
        ("last_us", "<i8"),
        # The open report, to the end: what came since the last one.
        ("start_us", "<i8"),
        ("orig_packets", "<i8"),
        ("resp_packets", "<i8"),
        ("orig_bytes", "<i8"),
        ("resp_bytes", "<i8"),
        ("wrong_fragments", "<i8"),
        ("urgent", "<i8"),
        ("failed_logins", "<i8"),
        ("login_attempts", "<i8"),
        ("indicators", "<i8"),
        (
            "content",
            "u1",
            (len(CONTENT_COLUMNS),),
        ),  # in the order of `CONTENT_COLUMNS`
        ("marked", "?"),  # it carries a login or an indicator
    ]
)
REPORT = (
    "marked",
    "loose",
    "orig_packets",
    "resp_packets",
    "orig_bytes",
    "resp_bytes",
    "wrong_fragments",
    "urgent",
    "failed_logins",
    "login_attempts",
    "indicators",
)
"""What begins at 0 in each report, as ``content`` does."""
_HIGHEST = {
    name: min(int(np.iinfo(CONNECTION[name]).max), int(np.iinfo(np.int64).max))
    for name in REPORT[2:]
}
SWAPPED = tuple((f"orig_{name}", f"resp_{name}") for name in ("packets", "bytes", "flags"))
ENDS = (("src", "dst"), ("src_port", "dst_port"))

_STATE = {name: number for number, name in enumerate(CONNECTION_STATES)}


def opaque(rows: Rows) -> Rows:
    """The same memory as items without fields: NumPy copies those 20 times as fast."""
    return rows.view(f"V{rows.dtype.itemsize}")


def span(rows: Rows, first: str, last: str) -> Rows:
    """The same memory from field ``first`` to ``last``, as items without fields."""
    return rows.view(_span(rows.dtype, first, last))["span"]


@cache
def _span(dtype: np.dtype[Any], first: str, last: str) -> np.dtype[Any]:
    begin = dtype.fields[first][1]  # type: ignore[index]
    end = dtype.fields[last][1] + dtype[last].itemsize  # type: ignore[index]
    return np.dtype(
        {
            "names": ["span"],
            "formats": [f"V{end - begin}"],
            "offsets": [begin],
            "itemsize": dtype.itemsize,
        }
    )


def keyed(keys: NDArray[np.uint64]) -> Rows:
    """Empty rows of ``keys`` (5, n), as `agents.sensor.flows.keys.canonical` makes them."""
    out = np.zeros(keys.shape[1], ROW)
    for name, upper in (("a", 0), ("b", 2)):
        if keys[upper].any():  # not of IPv4
            out[name][:, 0] = keys[upper]
        out[name][:, 1] = keys[upper + 1]
    out["rest"] = keys[4]
    return out


def begin_connections(rows: Rows, packets: Packets, first: Ints, side: NDArray[np.bool_]) -> Rows:
    """The rows as new connections of the same keys, with packets ``first`` to come."""
    out = np.zeros(len(rows), ROW)
    span(out, "a", "rest")[:] = span(rows, "a", "rest")
    begin_keyed(out, packets, first, side)
    return out


def begin_keyed(out: Rows, packets: Packets, first: Ints, side: NDArray[np.bool_]) -> None:
    """The same in rows that hold nothing but their keys."""
    answer = packets.flags[first] & (SYN | ACK) == SYN | ACK
    sources, targets = span(out, "src", "src"), span(out, "dst", "dst")
    src, dst = (addresses.view("V16")[:, 0] for addresses in (packets.src, packets.dst))
    sources[:], targets[:] = src[first], dst[first]
    out["src_port"], out["dst_port"] = packets.src_port[first], packets.dst_port[first]
    answers = np.flatnonzero(answer)
    if len(answers):
        of = first[answers]
        sources[answers], targets[answers] = dst[of], src[of]
        out["src_port"][answers] = packets.dst_port[of]
        out["dst_port"][answers] = packets.src_port[of]
    out["protocol"] = packets.protocol[first]
    out["ip_version"] = packets.ip_version[first]
    out["orig_side"] = side[first] ^ answer
    out["last_us"] = packets.time_us[first]


def swap_ends(rows: Rows) -> Rows:
    """The rows with their ends changed: the originator has just refused a login."""
    out = rows.copy()
    for one, other in (*SWAPPED, *ENDS):
        out[one], out[other] = rows[other], rows[one]
    out["orig_side"] = ~rows["orig_side"]
    out["answered"] = True
    out["proven"] = False
    out["failed_logins"] = 0  # what the other end said before refuses nothing
    return out


def close_reports(rows: Rows) -> None:
    """Begin an empty report in each row."""
    report = span(rows, "orig_packets", "marked")
    report[:] = np.zeros((), report.dtype)
    rows["loose"] = False


def states(rows: Rows) -> NDArray[np.uint8]:
    """Index into `CONNECTION_STATES` of each row."""
    tcp = rows["protocol"] == TCP
    opened = tcp & (rows["orig_flags"] & SYN > 0)
    accepted = opened & (rows["resp_flags"] & SYN > 0)
    attempted = opened & ~accepted
    closed = rows["closed"]
    answered = rows["answered"]
    out = np.full(len(rows), _STATE["OTH"], np.uint8)
    out[~tcp & answered] = _STATE["SF"]
    out[attempted & ~answered] = _STATE["S0"]
    out[attempted & ~answered & (rows["orig_flags"] & FIN > 0)] = _STATE["SH"]
    out[attempted & (closed == 3)] = _STATE["REJ"]
    for reason, name in enumerate(("S1", "SF", "RSTO", "RSTR")):
        out[accepted & (closed == reason)] = _STATE[name]
    return out


def records(rows: Rows) -> NDArray[np.void]:
    """The open reports of rows, as `CONNECTION`."""
    out = np.zeros(len(rows), CONNECTION)
    for first, last in (("src", "ip_version"), ("orig_flags", "resp_flags")):
        span(out, first, last)[:] = span(rows, first, last)
    start_us = rows["start_us"]
    out["start_us"] = start_us
    out["duration_us"] = np.maximum(rows["last_us"] - start_us, 0)
    out["state"] = states(rows)
    out["conversation"] = rows["proven"] & ~rows["loose"]
    for name, highest in _HIGHEST.items():
        if rows[name].any():  # few of them are
            out[name] = np.minimum(rows[name], highest)
    if rows["content"].any():
        for number, name in enumerate(CONTENT_COLUMNS):
            out[name] = rows["content"][:, number]
    return out
