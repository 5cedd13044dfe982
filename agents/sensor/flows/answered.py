"""Whether the other end has spoken: what decides if a payload is worth reading.

A payload that nobody has answered proves nothing, and anybody can send it in anybody's name. Asked
by payload look-up for the few packets that it would read, before the flow table takes the block in;
by the rules of `agents.sensor.flows.automaton`, so how packets are cut into blocks changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.automaton import (
    FRESH,
    REOPEN,
    STATE_OF,
    Timeouts,
    count_packet,
    next_split,
)
from agents.sensor.flows.packets import ACK, FIN, RST, SYN, Bytes, Ints, Packets
from agents.sensor.flows.rows import REPORT, Rows

_FOLLOWED = ("protocol", "orig_side", "last_us", *STATE_OF)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A block of packets on its way into the flow table."""

    packets: Packets
    side: NDArray[np.bool_]
    """Whether the sender of each packet is the greater end of its key."""
    order: Ints
    """Positions sorted by connection, in arrival order within each; without those of packets that
    are no part of their connection (`agents.sensor.flows.tcp_conversations`)."""
    starts: Ints
    """Where in ``order`` each connection begins."""
    rows: Rows
    """What the table knows of each connection before this block."""
    timeouts: Timeouts

    def connections(self, which: Ints) -> Ints:
        """Number of the connection of each of these packets, as in ``rows``."""
        return np.searchsorted(self.starts, self._places(which), side="right") - 1

    def sources(self, which: Ints) -> Bytes:
        """(n, 16) who began the connection of each packet: whose payload it is that is read, be it
        sent or caused by him."""
        return np.asarray(self.rows["src"][self.connections(which)])

    def spoken(self, which: Ints) -> NDArray[np.bool_]:
        """For each of these packets whether the responder has spoken in its connection, with this
        packet or before. A reset alone is no word; what is no part of it counts as unanswered."""
        places = self._places(which)
        if (places < 0).any():
            part = places >= 0
            out = np.zeros(len(which), np.bool_)
            out[part] = self.spoken(which[part])
            return out
        groups = np.searchsorted(self.starts, places, side="right") - 1
        out = np.zeros(len(which), np.bool_)
        if not len(which):
            return out
        asked, number = np.unique(groups, return_inverse=True)
        begins = self.starts[asked]
        sizes = np.append(self.starts, len(self.order))[asked + 1] - begins
        # The packets of the connections asked for, one behind the other.
        after = np.cumsum(sizes)
        first = after - sizes
        owner = np.repeat(np.arange(len(asked)), sizes)
        at = self.order[np.arange(after[-1]) + (begins - first)[owner]]
        rows = self.rows.take(asked)
        time, flags = self.packets.time_us[at], self.packets.flags[at]
        answer = self.side[at] != rows["orig_side"][owner]
        before = np.empty(len(at), np.int64)
        before[1:] = time[:-1]
        before[first] = rows["last_us"]
        # Where nothing ends or pauses, the first answer decides for all that follow.
        odd = rows["closed"] > 0
        odd[
            owner[(np.abs(time - before) > self.timeouts.attempt_us) | (flags & (FIN | RST) > 0)]
        ] = True
        spoken = answer.copy()
        spoken[first] |= rows["answered"]
        total = np.cumsum(spoken)
        spoken = total > (total - spoken)[first][owner]
        for connection in np.flatnonzero(odd).tolist():
            some = slice(first[connection], after[connection])
            spoken[some] = self._one_by_one(rows[connection : connection + 1], at[some])
        return np.asarray(spoken[first[number] + places - begins[number]])

    def _places(self, which: Ints) -> Ints:
        places = np.full(len(self.packets), -1)
        places[self.order] = np.arange(len(self.order))
        return np.asarray(places[which])

    def _one_by_one(self, row: Rows, positions: Ints) -> list[bool]:
        packets = self.packets
        now = {name: int(row[name][0]) for name in _FOLLOWED}
        # Reports are no matter here: none is open at the beginning, none is split off.
        now |= dict.fromkeys(REPORT, 0) | {"start_us": 0}
        out = []
        for time, flags, size, greater in zip(
            packets.time_us[positions].tolist(),
            packets.flags[positions].tolist(),
            packets.payload_bytes[positions].tolist(),
            self.side[positions].tolist(),
            strict=True,
        ):
            kind = next_split(now, time, flags, size, self.timeouts)
            if kind < 0:
                out.append(False)
                continue
            if kind in (FRESH, REOPEN):
                now |= dict.fromkeys(STATE_OF, 0)
            if kind == FRESH:
                now["orig_side"] = greater ^ (flags & (SYN | ACK) == SYN | ACK)
            count_packet(now, time, flags, size, greater == now["orig_side"])
            heard = now["resp_flags"]
            only_reset = heard & RST and not heard & ~(RST | ACK)
            out.append(bool(now["answered"]) and not only_reset)
        return out
