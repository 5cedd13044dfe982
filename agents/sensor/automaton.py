"""The rules by which packets become connection records, one packet at a time.

`agents.sensor.flows` applies the same rules to whole blocks and turns to `run_automaton` only for
connections that split often within one block (a port reused thousands of times). Where the two
could differ, this module is the statement of what is meant:

- The originator is the sender of the first packet; a SYN-ACK seen first means the other side.
- A connection closes with the first RST or the second side's FIN. Packets up to ``grace_us`` after
  belong to it; later ones without payload count nowhere for ``linger_us`` (late ACKs), payload
  begins a new record with the same originator (the close was forged: a host that ignores a reset
  out of window goes on), and a SYN begins a new connection at once.
- Silence beyond the time-out ends it: short while nothing has been answered, else long. A clock
  that jumps back by more than ``attempt_us`` (captures joined end to end) ends it too.
- Only the responder refuses a login: a refusal that the originator sends counts for nothing.
- A report that is ``active_us`` old is split off; ``marked_us`` if it carries a login or indicator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.sensor.packets import ACK, FIN, RST, SYN, TCP, Packets
from ontology.records import CONNECTION, CONNECTION_STATES, INDICATORS

Rows = NDArray[np.void]

FRESH, REOPEN, INTERIM = 1, 2, 3
"""Kinds of split: another connection, the same after a forged close, the same in another report."""

URGENT_INDICATORS = sum(
    1 << i for i, name in enumerate(INDICATORS) if name not in ("SshBanner", "VersionProbe")
)
"""Indicators that hurry a report: the attack strings, not those that only name a protocol."""

_STATE = {name: number for number, name in enumerate(CONNECTION_STATES)}

# One open connection. "a" and "b" are its ends in canonical order, "rest" ports and protocol.
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
        ("marked", "?"),  # the open report carries a login or an indicator
        ("close_us", "<i8"),
        ("last_us", "<i8"),
        # The open report: what came since the last one.
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
    ]
)
_REPORT = (
    "marked",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """When connections are reported; all in microseconds of packet time."""

    attempt_us: int = 2_000_000
    """Silence that ends a connection nobody has answered."""
    idle_tcp_us: int = 300_000_000
    idle_other_us: int = 60_000_000
    active_us: int = 5_000_000
    """Age at which an open report is sent as interim."""
    marked_us: int = 100_000
    """The same for a report with a login, a refusal or an attack indicator: those can't wait."""
    grace_us: int = 200_000
    """How long after its close a connection is still counted; its record is sent then."""
    linger_us: int = 5_000_000
    """How long late empty packets of a closed connection are passed over."""

    def __post_init__(self) -> None:
        if not 0 <= self.attempt_us <= min(self.idle_tcp_us, self.idle_other_us):
            raise ValueError("attempt_us must not exceed the idle time-outs")
        if not 0 <= self.grace_us <= self.linger_us:
            raise ValueError("grace_us must not exceed linger_us")
        if not 0 < self.marked_us <= self.active_us:
            raise ValueError("marked_us must lie in (0, active_us]")

    def idle(self, protocol: NDArray[np.uint8], answered: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Silence that ends each connection."""
        long = np.where(protocol == TCP, self.idle_tcp_us, self.idle_other_us)
        return np.where(answered, long, self.attempt_us)


@dataclass(slots=True, eq=False)
class Extras:
    """Per packet, in `Packets` order: the columns that are nearly always zero."""

    wrong: NDArray[np.int64]
    urgent: NDArray[np.int64]
    failed: NDArray[np.int64]
    attempts: NDArray[np.int64]
    indicators: NDArray[np.int64]

    def urgent_mark(self, packets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the packets hurry the report they fall in."""
        hurry: NDArray[np.bool_] = (
            self.failed[packets]
            | self.attempts[packets]
            | (self.indicators[packets] & URGENT_INDICATORS)
        ) > 0
        return hurry


def begin_connections(
    rows: Rows, packets: Packets, first: NDArray[np.int64], side: NDArray[np.bool_]
) -> Rows:
    """The rows as new connections of the same keys, with packets ``first`` to come."""
    out = np.zeros(len(rows), ROW)
    for name in ("a", "b", "rest"):
        out[name] = rows[name]
    answer = packets.flags[first] & (SYN | ACK) == SYN | ACK
    src, dst = packets.src[first], packets.dst[first]
    sport, dport = packets.src_port[first], packets.dst_port[first]
    out["src"] = np.where(answer[:, None], dst, src)
    out["dst"] = np.where(answer[:, None], src, dst)
    out["src_port"] = np.where(answer, dport, sport)
    out["dst_port"] = np.where(answer, sport, dport)
    out["protocol"] = packets.protocol[first]
    out["ip_version"] = packets.ip_version[first]
    out["orig_side"] = side[first] ^ answer
    out["last_us"] = packets.time_us[first]
    return out


def close_reports(rows: Rows) -> None:
    """Begin an empty report in each row."""
    for name in _REPORT:
        rows[name] = 0


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
    for name in ("src", "dst", "src_port", "dst_port", "protocol", "ip_version"):
        out[name] = rows[name]
    for name in ("start_us", "orig_flags", "resp_flags"):
        out[name] = rows[name]
    out["duration_us"] = np.maximum(rows["last_us"] - rows["start_us"], 0)
    out["state"] = states(rows)
    for name in _REPORT[1:]:
        highest = min(int(np.iinfo(CONNECTION[name]).max), int(np.iinfo(np.int64).max))
        out[name] = np.minimum(rows[name], highest)
    return out


def run_automaton(
    row: Rows,
    packets: Packets,
    positions: NDArray[np.int64],
    extras: Extras,
    side: NDArray[np.bool_],
    limits: Timeouts,
) -> list[Rows]:
    """Play packets into one row (shape (1,)), in order; returns the records that are complete."""
    done: list[Rows] = []
    for position in positions:
        packet = int(position)
        time = int(packets.time_us[packet])
        kind = _split(row[0], packet, time, packets, limits)
        if kind < 0:
            continue
        if kind:
            if row[0]["orig_packets"] + row[0]["resp_packets"]:
                done.append(records(row))
            close_reports(row)
            if kind == FRESH:
                row[:] = begin_connections(row, packets, np.array([packet]), side)
            elif kind == REOPEN:
                for name in ("answered", "closed", "orig_flags", "resp_flags", "close_us"):
                    row[name] = 0
        _count(row[0], packet, time, packets, extras, bool(side[packet]))
    return done


def _split(row: np.void, packet: int, time: int, packets: Packets, limits: Timeouts) -> int:
    """Kind of split before a packet, 0 for none, -1 if the packet counts nowhere."""
    if row["closed"]:
        since = time - int(row["close_us"])
        again = int(packets.flags[packet]) & (SYN | ACK | RST | FIN) == SYN
        if again or since > limits.linger_us or since < -limits.attempt_us:
            return FRESH
        if since > limits.grace_us:
            return REOPEN if packets.payload_bytes[packet] > 0 else -1
        return 0
    long = limits.idle_tcp_us if row["protocol"] == TCP else limits.idle_other_us
    gap = time - int(row["last_us"])
    if gap > (long if row["answered"] else limits.attempt_us) or gap < -limits.attempt_us:
        return FRESH
    active = limits.marked_us if row["marked"] else limits.active_us
    begun = row["orig_packets"] + row["resp_packets"] > 0
    return INTERIM if begun and time - int(row["start_us"]) >= active else 0


def _count(
    row: np.void, packet: int, time: int, packets: Packets, extras: Extras, side: bool
) -> None:
    """Add one packet to the open report of a row, and close the connection if it does."""
    who = "orig" if side == row["orig_side"] else "resp"
    if row["orig_packets"] + row["resp_packets"] == 0:
        row["start_us"] = time
    row["last_us"] = time
    row[f"{who}_packets"] += 1
    row[f"{who}_bytes"] += packets.payload_bytes[packet]
    row[f"{who}_flags"] |= packets.flags[packet]
    row["answered"] |= who == "resp"
    row["wrong_fragments"] += extras.wrong[packet]
    row["urgent"] += extras.urgent[packet]
    if who == "resp":
        row["failed_logins"] += extras.failed[packet]
    row["login_attempts"] += extras.attempts[packet]
    row["indicators"] |= extras.indicators[packet]
    row["marked"] |= bool(extras.urgent_mark(np.array([packet]))[0])
    if row["closed"]:
        return
    if packets.flags[packet] & RST:
        row["closed"] = 2 if who == "orig" else 3
    elif row["orig_flags"] & row["resp_flags"] & FIN:
        row["closed"] = 1
    if row["closed"]:
        row["close_us"] = time
