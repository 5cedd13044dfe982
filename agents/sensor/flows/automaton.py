"""The rules by which packets become connection records, one packet at a time.

`agents.sensor.flows.table` applies the same rules to whole blocks and turns to `run_automaton` only
for connections that split often within one block (a port reused thousands of times). Where the two
could differ, this module is the statement of what is meant:

- The originator is the sender of the first packet; a SYN-ACK seen first means the other side.
- A connection closes with the first RST or the second side's FIN. Packets up to ``grace_us`` after
  belong to it; later ones without payload count nowhere for ``linger_us`` (late ACKs), payload
  begins a new record with the same originator (the close was forged: a host that ignores a reset
  out of window goes on), and a SYN begins a new connection at once.
- Silence beyond the time-out ends it: short while nothing has been answered, else long. A clock
  that jumps back by more than ``attempt_us`` (captures joined end to end) ends it too.
- Only the responder refuses a login: a refusal that the originator sends counts for nothing, and
  so does content that the other end alone can say. But where no SYN was seen, a refusal from a
  login port to a high one shows that the server spoke first: the ends change places.
- Packets stand to a conversation as `agents.sensor.flows.tcp_conversations` has it; rejected ones
  don't come here. What belongs to no proven conversation and what does never share a report, and a
  SYN-ACK with another initial sequence number begins a new connection if the old one was proven.
- A report that is ``active_us`` old is split off; ``marked_us`` if it carries a login or indicator.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.marks import CONTENT_COLUMNS, LOGIN_PORTS, Marks, add_counts
from agents.sensor.flows.packets import ACK, FIN, RST, SYN, TCP, Packets
from agents.sensor.flows.rows import ENDS, REPORT, SWAPPED, Rows, begin_connections, records
from agents.sensor.flows.tcp_conversations import ANEW, CLIENT, OPEN, UNSURE
from ontology.records import INDICATORS

FRESH, REOPEN, INTERIM, TURN = 1, 2, 3, 4
"""Kinds of split: another connection, the same after a forged close, the same in another report,
the same report with the ends changed."""

URGENT_INDICATORS = sum(
    1 << i for i, name in enumerate(INDICATORS) if name not in ("SshBanner", "VersionProbe")
)
"""Indicators that hurry a report: the attack strings, not those that only name a protocol."""


STATE_OF = ("answered", "closed", "orig_flags", "resp_flags", "close_us")
_LIVE = ("protocol", "orig_side", "proven", *STATE_OF, "last_us", "start_us", *REPORT)
"""What `run_automaton` follows packet by packet; the rest is set when a connection begins."""


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
    """Per packet, in `Packets` order: the columns that are nearly always zero.

    Content is rarer still: ``marked`` are the packets that have any (ascending), ``content``
    (len(marked), columns) what each says, ``by_server`` which end alone can say it.
    """

    wrong: NDArray[np.int64]
    urgent: NDArray[np.int64]
    failed: NDArray[np.int64]
    attempts: NDArray[np.int64]
    indicators: NDArray[np.int64]
    marked: NDArray[np.int64]
    content: NDArray[np.uint8]
    by_server: NDArray[np.bool_]
    standing: NDArray[np.uint8]
    """To its conversation, of every packet."""
    _speaking: frozenset[int] | None = field(default=None, init=False)

    def speaking(self) -> frozenset[int]:
        """``marked``, to ask for one packet after the other."""
        if self._speaking is None:
            self._speaking = frozenset(self.marked.tolist())
        return self._speaking

    def urgent_mark(self, packets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the packets hurry the report they fall in."""
        hurry: NDArray[np.bool_] = (
            self.failed[packets]
            | self.attempts[packets]
            | (self.indicators[packets] & URGENT_INDICATORS)
        ) > 0
        return hurry

    def refusals(self, packets: Packets, which: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the packets are refusals such as a server sends: from a login port."""
        out = self.failed[which] > 0
        if out.any():
            at = which[out]
            out[out] = (
                np.isin(packets.src_port[at], LOGIN_PORTS)
                & (packets.dst_port[at] >= 1024)
                & (packets.flags[at] & ACK > 0)
            )
        return out

    def add_content(
        self,
        counts: NDArray[np.uint8],
        rows: NDArray[np.int64],
        packets: NDArray[np.int64],
        orig: NDArray[np.bool_],
    ) -> None:
        """Add to ``counts[rows]``, what the packets say that their senders may say."""
        at = np.minimum(np.searchsorted(self.marked, packets), len(self.marked) - 1)
        some = np.flatnonzero((self.marked[at] == packets) & (self.by_server[at] != orig))
        if len(some):
            add_counts(counts, rows[some], self.content[at[some]])


def extras_of(
    packets: Packets, marks: Marks | None, standing: NDArray[np.uint8]
) -> tuple[Extras, NDArray[np.bool_]]:
    """What is rare of the packets, and which of them have any of it."""
    special = packets.wrong_fragment | packets.urgent
    none = np.broadcast_to(np.int64(0), len(packets))
    failed = attempts = indicators = none
    if marks is not None and len(marks.index):
        # What a segment says that may not be its sender's is not said.
        marks = marks.take(standing[marks.index] != UNSURE)
        failed, attempts, indicators = (np.zeros(len(packets), np.int64) for _ in range(3))
        failed[marks.index] = marks.failed_logins
        attempts[marks.index] = marks.login_attempts
        indicators[marks.index] = marks.indicators
        special[marks.index] = True
    wrong, urgent = (
        column.astype(np.int64) if column.any() else none
        for column in (packets.wrong_fragment, packets.urgent)
    )
    marked, by_server = np.zeros(0, np.int64), np.zeros(0, np.bool_)
    content = np.zeros((0, len(CONTENT_COLUMNS)), np.uint8)
    if marks is not None and marks.content is not None and marks.by_server is not None:
        some = marks.content.any(axis=1)
        marked, content, by_server = marks.index[some], marks.content[some], marks.by_server[some]
    return (
        Extras(wrong, urgent, failed, attempts, indicators, marked, content, by_server, standing),
        special,
    )


def run_automaton(
    row: Rows,
    packets: Packets,
    positions: NDArray[np.int64],
    extras: Extras,
    side: NDArray[np.bool_],
    limits: Timeouts,
) -> list[Rows]:
    """Play packets into one row (shape (1,)), in order; returns the records that are complete."""
    now: dict[str, int] = {name: int(row[name][0]) for name in _LIVE}
    began: list[int] = []
    done: list[tuple[int, dict[str, int]]] = []  # connections begun so far, and their numbers
    columns = (
        positions,
        packets.time_us[positions],
        packets.flags[positions],
        packets.payload_bytes[positions],
        side[positions],
        extras.urgent_mark(positions),
        extras.refusals(packets, positions),
        extras.standing[positions],
    )
    said = row["content"].copy()
    speaking = extras.speaking()
    contents: list[NDArray[np.uint8]] = []
    for packet, time, flags, size, greater, mark, refusal, standing in zip(
        *(c.tolist() for c in columns), strict=True
    ):
        proof = standing == CLIENT and greater == now["orig_side"]
        kind = next_split(now, time, flags, size, limits)
        if standing == ANEW and now["proven"]:
            kind = FRESH
        elif kind == 0 and proof and now["loose"]:
            kind = INTERIM
        if kind < 0:
            continue
        if kind:
            if now["orig_packets"] + now["resp_packets"]:
                done.append((len(began), now.copy()))
                contents.append(said.copy())
            now.update(dict.fromkeys(REPORT, 0))
            said[:] = 0
            if kind == FRESH:
                began.append(packet)
                now.update(dict.fromkeys(STATE_OF, 0), last_us=time, proven=0)
                now["orig_side"] = greater ^ (flags & (SYN | ACK) == SYN | ACK)
            elif kind == REOPEN:
                now.update(dict.fromkeys(STATE_OF, 0))
        orig = greater == now["orig_side"]
        if refusal and orig and not now["closed"]:
            if not (now["orig_flags"] | now["resp_flags"] | flags) & SYN:
                for one, other in SWAPPED:
                    now[one], now[other] = now[other], now[one]
                now.update(orig_side=not greater, answered=True, failed_logins=0, proven=0)
                orig = False
        now["proven"] |= standing == CLIENT and orig
        now["loose"] |= standing == OPEN and size > 0
        count_packet(now, time, flags, size, orig)
        now["wrong_fragments"] += int(extras.wrong[packet])
        now["urgent"] += int(extras.urgent[packet])
        if not orig:
            now["failed_logins"] += int(extras.failed[packet])
        now["login_attempts"] += int(extras.attempts[packet])
        now["indicators"] |= int(extras.indicators[packet])
        now["marked"] |= mark
        if packet in speaking:
            extras.add_content(said, np.zeros(1, np.int64), np.array([packet]), np.array([orig]))
    done.append((len(began), now))
    contents.append(said)
    first = np.array(began, np.int64)
    begun = begin_connections(np.repeat(row, len(began)), packets, first, side)
    out = np.concatenate((row, begun))[[number for number, _ in done]]
    turned = out["orig_side"] != [numbers["orig_side"] for _, numbers in done]
    for one, other in ENDS if turned.any() else ():
        out[one][turned], out[other][turned] = out[other][turned], out[one][turned]
    for name in _LIVE:
        out[name] = [numbers[name] for _, numbers in done]
    out["content"] = np.concatenate(contents)
    row[:] = out[-1:]
    return [records(out[:-1])]


def next_split(now: dict[str, int], time: int, flags: int, size: int, limits: Timeouts) -> int:
    """Kind of split before a packet, 0 for none, -1 if the packet counts nowhere."""
    if now["closed"]:
        since = time - now["close_us"]
        again = flags & (SYN | ACK | RST | FIN) == SYN
        if again or since > limits.linger_us or since < -limits.attempt_us:
            return FRESH
        if since > limits.grace_us:
            return REOPEN if size > 0 else -1
        return 0
    long = limits.idle_tcp_us if now["protocol"] == TCP else limits.idle_other_us
    gap = time - now["last_us"]
    if gap > (long if now["answered"] else limits.attempt_us) or gap < -limits.attempt_us:
        return FRESH
    active = limits.marked_us if now["marked"] else limits.active_us
    begun = now["orig_packets"] + now["resp_packets"] > 0
    return INTERIM if begun and time - now["start_us"] >= active else 0


def count_packet(now: dict[str, int], time: int, flags: int, size: int, orig: bool) -> None:
    """Add one packet to the open report, and close the connection if it does."""
    who = "orig" if orig else "resp"
    if now["orig_packets"] + now["resp_packets"] == 0:
        now["start_us"] = time
    now["last_us"] = time
    now[f"{who}_packets"] += 1
    now[f"{who}_bytes"] += size
    now[f"{who}_flags"] |= flags
    now["answered"] |= not orig
    if now["closed"]:
        return
    if flags & RST:
        now["closed"] = 2 if orig else 3
    elif now["orig_flags"] & now["resp_flags"] & FIN:
        now["closed"] = 1
    if now["closed"]:
        now["close_us"] = time
