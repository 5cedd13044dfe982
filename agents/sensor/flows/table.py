"""The flow table: packets in, connection records out (biflows, RFC 5103).

A connection is reported when it ends, when it has been silent for too long, and in between as an
*interim* report once a report is `Timeouts.active_us` old, so that an attack inside one long
connection is seen. Each report counts only what came since the one before (packets, bytes, marks,
start, duration); flags and state are those of the whole connection so far.

What a record holds follows from packet times alone, by the rules of
`agents.sensor.flows.automaton`, which states them one packet at a time. This module applies the
same rules to whole blocks, so how the packets are cut into blocks changes nothing. Memory is
bounded: beyond ``max_flows`` the least useful connections are reported early and counted in
`FlowTable.evicted`.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.answered import Answers
from agents.sensor.flows.automaton import TURN, Extras, Timeouts, extras_of, run_automaton
from agents.sensor.flows.conversation_blocks import judge
from agents.sensor.flows.keys import canonical
from agents.sensor.flows.marks import Marks
from agents.sensor.flows.packets import Packets
from agents.sensor.flows.rounds import NEVER, Columns, begin_next, run_rounds
from agents.sensor.flows.rows import (
    ROW,
    Rows,
    begin_keyed,
    close_reports,
    keyed,
    opaque,
    records,
)
from agents.sensor.flows.tcp_conversations import REJECTED
from ontology.ordering import stable_order
from ontology.records import CONNECTION

Ints = NDArray[np.int64]

_ROUNDS = 4
"""Splits per connection and block that are worked off for all at once. After that each round has to
take `_GAIN` packets and one in 128 of the rest, or what is left is worked off one by one."""
_GAIN = 8
_MASK = 2**64 - 1
_HASH_BITS = 47
"""Of a key; with 17 bits of position they fill the word that is sorted."""
_STEP_US = 50_000
"""The table is not searched for time-outs more often than this."""


class FlowTable:
    """All open connections of one sensor."""

    def __init__(self, timeouts: Timeouts | None = None, *, max_flows: int = 131_072) -> None:
        if max_flows < 1:
            raise ValueError(f"max_flows must be at least 1, got {max_flows}")
        self._timeouts = timeouts or Timeouts()
        self._max_flows = max_flows
        self._rows: Rows = np.zeros(1024, ROW)
        self._due: Ints = np.zeros(1024, np.int64)
        """Per row: no earlier than this is it to be reported or forgotten."""
        self._free: Ints = np.arange(1024)[::-1].copy()
        # The index: hashes ascending, and the row of each.
        self._hashes: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._slots: Ints = np.zeros(0, np.int64)
        self._finished: list[NDArray[np.void]] = []
        self._reseed()
        self.rounds = _ROUNDS
        self._advanced_us = -_STEP_US
        self.rejected = 0
        """Segments that are no part of the proven conversation of their ends: counted nowhere."""
        self.evicted = 0
        """Connections reported early because the table was full."""

    def __len__(self) -> int:
        return len(self._slots)

    def add(
        self, packets: Packets, marks: Marks | Callable[[Answers], Marks] | None = None
    ) -> None:
        """Take in a block of packets. ``marks``: what payloads say, or who says it when told who
        has answered."""
        if not len(packets):
            return
        keys, side = canonical(packets)
        for _ in range(8):
            if self._add(packets, marks, keys, side):
                break
            self._reseed()  # two keys met in one hash: a chance of 2**-31 for a crafted pair
        else:
            raise RuntimeError("eight hash seeds collided in a row")
        if len(self) > self._max_flows:
            self._evict(len(self) - self._max_flows + self._max_flows // 16)

    def advance(self, now_us: int) -> NDArray[np.void]:
        """Everything that is to be reported by ``now_us``, as `CONNECTION`, by start time.

        Call it with times not after those of packets still to come; earlier is harmless.
        """
        limits = self._timeouts
        if 0 <= now_us - self._advanced_us < _STEP_US:
            return self._take()
        self._advanced_us = now_us
        candidates = np.flatnonzero(self._due[self._slots] < now_us)
        if not len(candidates):
            return self._take()
        slots = self._slots[candidates]
        last = self._rows["last_us"][slots]
        closed = self._rows["closed"][slots] > 0
        since_close = np.where(closed, now_us - self._rows["close_us"][slots], 0)
        idle = limits.idle(self._rows["protocol"][slots], self._rows["answered"][slots])
        gone = np.where(closed, since_close > limits.linger_us, now_us - last > idle)
        some = self._packets(slots) > 0
        age = now_us - self._rows["start_us"][slots]
        marked = self._rows["marked"][slots]
        due = np.where(
            closed,
            since_close > limits.grace_us,
            age >= np.where(marked, limits.marked_us, limits.active_us),
        )
        self._report(slots[some & (due | gone)])
        which = np.zeros(len(self._slots), np.bool_)
        which[candidates] = gone
        self._remove(which)
        slots = slots[~gone]
        self._due[slots] = self._next_due(self._rows.take(slots))
        return self._take()

    def open_since_us(self) -> int:
        """Start of the oldest open report; `NEVER` if there is none."""
        some = self._slots[self._packets(self._slots) > 0]
        return int(self._rows["start_us"][some].min(initial=NEVER))

    def _next_due(self, rows: Rows) -> Ints:
        """The last time at which `advance` has nothing to do for each row."""
        limits = self._timeouts
        some = rows["orig_packets"] + rows["resp_packets"] > 0
        closed = rows["closed"] > 0
        idle = rows["last_us"] + limits.idle(rows["protocol"], rows["answered"])
        active = np.where(rows["marked"], limits.marked_us, limits.active_us)
        report = np.where(some, rows["start_us"] + active - 1, NEVER)
        ended = rows["close_us"] + np.where(some, limits.grace_us, limits.linger_us)
        due: Ints = np.where(closed, ended, np.minimum(idle, report))
        return due

    def flush(self) -> NDArray[np.void]:
        """Report all that is open and forget it: the end of a capture."""
        self._report(self._slots[self._packets(self._slots) > 0])
        self._remove(np.ones(len(self._slots), np.bool_))
        return self._take()

    def _take(self) -> NDArray[np.void]:
        finished, self._finished = self._finished, []
        if not finished:
            return np.zeros(0, CONNECTION)
        out = np.concatenate([opaque(part) for part in finished]).view(CONNECTION)
        return out.take(stable_order(out["start_us"]))

    def _packets(self, slots: Ints) -> Ints:
        total: Ints = self._rows["orig_packets"][slots] + self._rows["resp_packets"][slots]
        return total

    def _report(self, slots: Ints) -> None:
        """Emit the open report of these rows and begin the next."""
        if len(slots):
            reported = self._rows.take(slots)
            self._finished.append(records(reported))
            close_reports(reported)
            opaque(self._rows)[slots] = opaque(reported)

    def _remove(self, which: NDArray[np.bool_]) -> None:
        if which.any():
            self._free = np.concatenate((self._free, self._slots[which]))
            self._hashes = self._hashes[~which]
            self._slots = self._slots[~which]

    def _evict(self, count: int) -> None:
        """Report and forget ``count`` rows: closed and unanswered ones first, oldest first.

        In that order a flood of forged first packets pushes out its own kind, not real sessions.
        """
        rows = self._rows
        valued = rows["answered"][self._slots] & (rows["closed"][self._slots] == 0)
        order = np.lexsort((rows["last_us"][self._slots], valued))[:count]
        which = np.zeros(len(self._slots), np.bool_)
        which[order] = True
        self.evicted += int((self._packets(self._slots[which]) > 0).sum())
        self._report(self._slots[which & (self._packets(self._slots) > 0)])
        self._remove(which)

    def _reseed(self) -> None:
        self._multipliers = [secrets.randbits(64) | 1 for _ in range(10)]
        live = self._rows.take(self._slots)
        hashes = self._hash(np.vstack((live["a"].T, live["b"].T, live["rest"])))
        order = stable_order(hashes)
        self._hashes, self._slots = hashes[order], self._slots[order]

    def _hash(self, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Multilinear over 32-bit words with secret multipliers: collisions can't be crafted.

        Dietzfelbinger 1996; Lemire and Kaser, "Strongly universal string hashing is fast", 2014.
        The upper `_HASH_BITS` of it, which `stable_order` can sort together with a position.
        """
        out = np.full(keys.shape[1], self._multipliers[0] ^ _MASK, np.uint64)
        for word, column in enumerate(keys):
            # The upper halves of IPv4 addresses are all zero.
            if word in (0, 2) and not column.any():
                continue
            out += (column >> np.uint64(32)) * np.uint64(self._multipliers[2 * word])
            out += (column & np.uint64(0xFFFFFFFF)) * np.uint64(self._multipliers[2 * word + 1])
        out >>= np.uint64(64 - _HASH_BITS)
        return out

    def _add(
        self,
        packets: Packets,
        marks: Marks | Callable[[Answers], Marks] | None,
        keys: NDArray[np.uint64],
        side: NDArray[np.bool_],
    ) -> bool:
        """False, with nothing changed, if two different keys share a hash."""
        hashes = self._hash(keys)
        order = stable_order(hashes)
        hashes = hashes[order]
        fresh = np.empty(len(order), np.bool_)
        fresh[0] = True
        np.not_equal(hashes[1:], hashes[:-1], out=fresh[1:])
        for column in keys:
            if not column[0] and not column.any():  # the upper halves of IPv4 addresses
                continue
            ordered = column[order]
            if ((ordered[1:] != ordered[:-1]) > fresh[1:]).any():
                return False
        starts = np.flatnonzero(fresh)
        hashes, heads = hashes[starts], keys[:, order[starts]]
        places = np.searchsorted(self._hashes, hashes)
        at = np.where(places < len(self._hashes), places, 0)
        known = self._hashes[at] == hashes if len(self._hashes) else np.zeros(len(at), np.bool_)
        work = np.empty(len(starts), ROW)
        slots = np.empty(len(starts), np.int64)
        slots[known] = self._slots[at[known]]
        held = self._rows.take(slots[known])
        for number, column in enumerate((*held["a"].T, *held["b"].T, held["rest"])):
            if (column != heads[number, known]).any():
                return False
        opaque(work)[known] = opaque(held)
        new = np.flatnonzero(~known)
        begun = keyed(heads[:, new])
        begin_keyed(begun, packets, order[starts[new]], side)
        opaque(work)[new] = opaque(begun)
        group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
        talk = work["talk"].copy()
        standing = judge(
            group,
            side[order],
            packets.flags[order],
            packets.payload_bytes[order],
            packets.sequence[order],
            packets.acknowledgement[order],
            talk,
        )
        part = _part(standing)
        if part is None:
            self._play(packets, marks, order, starts, standing, work, side)
        elif len(part):
            ids, begins = np.unique(group[part], return_index=True)
            some = work.take(ids)
            self.rejected += len(order) - len(part)
            self._play(packets, marks, order[part], begins, standing[part], some, side)
            opaque(work)[ids] = opaque(some)
        else:
            self.rejected += len(order)
        work["talk"] = talk
        slots[new] = self._allocate(len(new))
        opaque(self._rows)[slots] = opaque(work)
        self._due[slots] = self._next_due(work)
        self._index(places[new], hashes[new], slots[new])
        return True

    def _play(
        self,
        packets: Packets,
        marks: Marks | Callable[[Answers], Marks] | None,
        order: Ints,
        starts: Ints,
        standing: NDArray[np.uint8],
        work: Rows,
        side: NDArray[np.bool_],
    ) -> None:
        """Play packets ``order``, by connection, into ``work``, which has packets for each."""
        if callable(marks):
            marks = marks(Answers(packets, side, order, starts, work, self._timeouts))
        by_packet = np.zeros(len(packets), np.uint8)
        by_packet[order] = standing
        extras, special = extras_of(packets, marks, by_packet)
        columns = Columns(
            packets.time_us[order],
            side[order],
            packets.flags[order],
            packets.payload_bytes[order],
            order,
            standing,
            special[order],
        )
        self._run(packets, columns, starts, work, extras, side)

    def _index(self, places: Ints, hashes: NDArray[np.uint64], slots: Ints) -> None:
        """Put new rows before ``places`` (ascending); `np.insert` would do it all twice."""
        total = len(self._slots) + len(slots)
        at = places + np.arange(len(places))
        old = np.ones(total, np.bool_)
        old[at] = False
        kept, self._hashes = self._hashes, np.empty(total, np.uint64)
        self._hashes[at], self._hashes[old] = hashes, kept
        held, self._slots = self._slots, np.empty(total, np.int64)
        self._slots[at], self._slots[old] = slots, held

    def _allocate(self, count: int) -> Ints:
        missing = count - len(self._free)
        if missing > 0:
            size = len(self._rows)
            grown = max(missing, size)
            rows, self._rows = self._rows, np.zeros(size + grown, ROW)
            opaque(self._rows)[:size] = opaque(rows)
            self._due = np.concatenate((self._due, np.zeros(grown, np.int64)))
            self._free = np.concatenate((np.arange(size, size + grown)[::-1], self._free))
        split = len(self._free) - count
        taken = self._free[split:]
        self._free = self._free[:split]
        return taken

    def _run(
        self,
        packets: Packets,
        columns: Columns,
        starts: Ints,
        work: Rows,
        extras: Extras,
        side: NDArray[np.bool_],
    ) -> None:
        """Play the columns into ``work``, in rounds that end at each connection's next split."""
        ids = np.arange(len(starts))
        consumed = 0
        for turn in itertools.count():
            if turn >= self.rounds and consumed < _GAIN + len(columns.time) // 128:
                ends = np.append(starts[1:], len(columns.time))
                for number, begin, end in zip(ids, starts, ends, strict=True):
                    done = run_automaton(
                        work[number : number + 1],
                        packets,
                        columns.source[begin:end],
                        extras,
                        side,
                        self._timeouts,
                    )
                    self._finished.extend(done)
                return
            group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(columns.time))))
            part = work.take(ids) if turn else work
            splits, kinds = run_rounds(
                columns, group, starts, part, extras, packets, self._timeouts
            )
            split = np.flatnonzero(splits < NEVER)
            if len(split):
                done_rows = part.take(split)
                some = (done_rows["orig_packets"] + done_rows["resp_packets"]) > 0
                some &= kinds != TURN
                self._finished.append(records(done_rows[some]))
                part[split] = begin_next(
                    done_rows, kinds, packets, columns.source[splits[split]], side
                )
            if turn:
                opaque(work)[ids] = opaque(part)
            if not len(split):
                return
            rest = np.arange(len(group)) >= splits[group]
            consumed = len(group)
            columns, group = columns.take(rest), group[rest]
            consumed -= len(group)
            starts = np.flatnonzero(np.diff(group, prepend=-1))
            ids = ids[split]


def _part(standing: NDArray[np.uint8]) -> Ints | None:
    """Which packets count; None: all of them."""
    rejected = standing == REJECTED
    return np.flatnonzero(~rejected) if rejected.any() else None
