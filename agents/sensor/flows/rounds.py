"""The rules of `agents.sensor.flows.automaton` for many connections at once: one round up to each
split.

Packets come sorted by connection and in arrival order within it. `run_rounds` adds the packets of
each connection up to its next split (another connection, another report) and says where that is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.automaton import FRESH, INTERIM, REOPEN, TURN, Extras, Timeouts
from agents.sensor.flows.packets import ACK, FIN, RST, SYN, Packets
from agents.sensor.flows.rows import begin_connections, close_reports, swap_ends
from agents.sensor.flows.tcp_conversations import ANEW, CLIENT, OPEN

Ints = NDArray[np.int64]
Rows = NDArray[np.void]

NEVER = np.iinfo(np.int64).max
"""Position of what does not happen in this round."""


@dataclass(slots=True, eq=False)
class Columns:
    """The packets of one round, sorted by connection and in arrival order within it."""

    time: Ints
    side: NDArray[np.bool_]
    """True if the packet's sender is the greater end of the key."""
    flags: NDArray[np.uint8]
    size: Ints
    source: Ints
    """Position in `Packets`."""
    standing: NDArray[np.uint8]
    """To its conversation (`tcp_conversations.judge`); none is rejected."""
    special: NDArray[np.bool_]
    """Carries a mark, a wrong fragment or urgent data."""

    def take(self, keep: NDArray[np.bool_] | Ints) -> Columns:
        return Columns(
            self.time[keep],
            self.side[keep],
            self.flags[keep],
            self.size[keep],
            self.source[keep],
            self.standing[keep],
            self.special[keep],
        )


def _first(groups: Ints, positions: Ints, count: int) -> Ints:
    """The first (ascending) position of each group, `NEVER` where there is none."""
    out = np.full(count, NEVER)
    out[groups[::-1]] = positions[::-1]  # of repeated indices the last assignment stays
    return out


def run_rounds(
    c: Columns,
    group: Ints,
    starts: Ints,
    work: Rows,
    extras: Extras,
    packets: Packets,
    limits: Timeouts,
) -> tuple[Ints, NDArray[np.uint8]]:
    """Add to each row its packets up to the first split.

    Returns:
        (position of each row's split or `NEVER`, kind of each of the splits there are).
    """
    count = len(starts)
    position = np.arange(len(group))
    orig = c.side == work["orig_side"][group]
    answers = np.flatnonzero(~orig)
    first_answer = _first(group[answers], answers, count)
    first_answer[work["answered"]] = -1
    closing, reason = _closing(c, group, orig, work)
    turning = _turning(c, group, orig, work, extras, packets)
    found, kinds, swallowed = _splits(
        c, group, starts, work, extras, limits, first_answer, closing, turning
    )
    first_proof, first_loose, proving = _proofs(c, group, orig, work, kinds, swallowed)
    found.append(proving)
    all_found = np.unique(np.concatenate(found))
    split = _first(group[all_found], all_found, count)
    valid = None
    if (split < NEVER).any() or len(swallowed):
        valid = position < split[group]
        valid[swallowed] = False
    _accumulate(c, group, starts, work, extras, orig, valid)
    closes = np.flatnonzero((closing >= 0) & (closing < split))
    work["proven"] |= first_proof < split
    work["loose"] |= first_loose < split
    work["closed"][closes] = reason[closes]
    work["close_us"][closes] = c.time[closing[closes]]
    return split, kinds[split[split < NEVER]]


def _closing(
    c: Columns, group: Ints, orig: NDArray[np.bool_], work: Rows
) -> tuple[Ints, NDArray[np.uint8]]:
    """Where each connection closes (-1: before, `NEVER`: not here) and the reason."""
    count = len(work)
    resets = np.flatnonzero(c.flags & RST)
    fins = np.flatnonzero(c.flags & FIN)
    reset = _first(group[resets], resets, count)
    both = np.full(count, NEVER)
    if len(fins):
        ours = orig[fins]
        fin_orig = _first(group[fins[ours]], fins[ours], count)
        fin_resp = _first(group[fins[~ours]], fins[~ours], count)
        fin_orig[(work["orig_flags"] & FIN) > 0] = -1
        fin_resp[(work["resp_flags"] & FIN) > 0] = -1
        both = np.maximum(fin_orig, fin_resp)
    closing = np.minimum(reset, both)
    reason = np.ones(count, np.uint8)
    by_reset = np.flatnonzero((reset < NEVER) & (reset <= both))
    reason[by_reset] = np.where(orig[reset[by_reset]], 2, 3)
    closing[work["closed"] > 0] = -1
    return closing, reason


def _turning(
    c: Columns,
    group: Ints,
    orig: NDArray[np.bool_],
    work: Rows,
    extras: Extras,
    packets: Packets,
) -> Ints:
    """Packets by which an originator shows that it is the server of a connection seen midstream."""
    found = np.flatnonzero(c.special & orig)
    found = found[extras.refusals(packets, c.source[found])]
    if len(found):
        syns = np.flatnonzero(c.flags & SYN)
        first_syn = _first(group[syns], syns, len(work))
        first_syn[(work["orig_flags"] | work["resp_flags"]) & SYN > 0] = -1
        found = found[found < first_syn[group[found]]]
    return found


def _splits(
    c: Columns,
    group: Ints,
    starts: Ints,
    work: Rows,
    extras: Extras,
    limits: Timeouts,
    first_answer: Ints,
    closing: Ints,
    turning: Ints,
) -> tuple[list[Ints], NDArray[np.uint8], Ints]:
    """(where rows could split, kind per packet, packets after a close that count nowhere)."""
    time, flags = c.time, c.flags
    kinds = np.zeros(len(time), np.uint8)
    found: list[Ints] = []
    previous = np.empty_like(time)
    previous[1:] = time[:-1]
    previous[starts] = work["last_us"]
    open_ = np.arange(len(time)) <= closing[group]

    turning = turning[open_[turning]]
    kinds[turning] = TURN  # unless the packet also splits in another way, which comes first
    found.append(turning)
    begun = np.where(
        work["orig_packets"] + work["resp_packets"] > 0, work["start_us"], time[starts]
    )
    age = time - begun[group]
    old = age >= limits.active_us
    marks = np.flatnonzero(c.special)
    if len(marks) or work["marked"].any():
        marks = marks[extras.urgent_mark(c.source[marks])]
        first_mark = _first(group[marks], marks, len(starts))
        first_mark[work["marked"]] = -1
        old |= (age >= limits.marked_us) & (first_mark[group] < np.arange(len(time)))
    old_at = np.flatnonzero(old & open_)
    # A report with nothing in it is not split off: its first packet begins it.
    empty = work["orig_packets"] + work["resp_packets"] == 0
    old_at = old_at[(old_at != starts[group[old_at]]) | ~empty[group[old_at]]]
    kinds[old_at] = INTERIM
    found.append(old_at)

    gap = time - previous
    silent = np.flatnonzero((np.abs(gap) > limits.attempt_us) & open_)
    of = group[silent]
    limit = limits.idle(work["protocol"][of], first_answer[of] < silent)
    silent = silent[(gap[silent] > limit) | (gap[silent] < 0)]
    kinds[silent] = FRESH
    found.append(silent)

    late = np.flatnonzero(~open_)
    swallowed = late[:0]
    if len(late):
        at = closing[group[late]]
        closed_us = np.where(at >= 0, time[np.maximum(at, 0)], work["close_us"][group[late]])
        since = time[late] - closed_us
        again = flags[late] & (SYN | ACK | RST | FIN) == SYN
        beyond = (since > limits.linger_us) | (since < -limits.attempt_us)
        after = since > limits.grace_us
        kinds[late[after & (c.size[late] > 0)]] = REOPEN
        kinds[late[again | beyond]] = FRESH
        found.append(late[kinds[late] > 0])
        swallowed = late[after & (kinds[late] == 0)]
    return found, kinds, swallowed


def _proofs(
    c: Columns,
    group: Ints,
    orig: NDArray[np.bool_],
    work: Rows,
    kinds: NDArray[np.uint8],
    swallowed: Ints,
) -> tuple[Ints, Ints, Ints]:
    """(each row's first packet that proves it, its first that belongs to no proven conversation,
    and where reports split for that, entered in ``kinds``)."""
    count = len(work)
    proofs = np.flatnonzero((c.standing == CLIENT) & orig)
    if len(swallowed):
        proofs = np.setdiff1d(proofs, swallowed)
    loose = np.flatnonzero((c.standing == OPEN) & (c.size > 0))
    first_proof, first_loose = (_first(group[at], at, count) for at in (proofs, loose))
    first_proof[work["proven"]] = -1
    first_loose[work["loose"]] = -1
    # What is not proven and what is never share a report.
    at = proofs[first_loose[group[proofs]] < proofs]
    at = at[kinds[at] == 0]
    kinds[at] = INTERIM
    anew = np.flatnonzero(c.standing == ANEW)
    anew = anew[first_proof[group[anew]] < anew]
    kinds[anew] = FRESH
    return first_proof, first_loose, np.concatenate((at, anew))


def _accumulate(
    c: Columns,
    group: Ints,
    starts: Ints,
    work: Rows,
    extras: Extras,
    orig: NDArray[np.bool_],
    valid: NDArray[np.bool_] | None,
) -> None:
    """Add the valid packets to the open reports."""
    size, flags = c.size, c.flags.astype(np.uint16)
    both = flags << (np.uint8(8) * ~orig)
    sent = orig
    first, last = starts, np.append(starts[1:], len(group)) - 1
    packets = last - first + 1
    if valid is not None:
        position = np.arange(len(group))
        first = np.minimum.reduceat(np.where(valid, position, NEVER), starts)
        last = np.maximum.reduceat(np.where(valid, position, -1), starts)
        packets = np.add.reduceat(valid.astype(np.int64), starts)
        size, both, sent = size * valid, both * valid, orig & valid
    sent_packets = np.add.reduceat(sent.astype(np.int64), starts)
    total = np.add.reduceat(size, starts)
    sent_bytes = np.add.reduceat(size * orig, starts)
    seen = np.bitwise_or.reduceat(both, starts)
    some = np.flatnonzero(packets)
    begins = some[(work["orig_packets"][some] + work["resp_packets"][some]) == 0]
    work["start_us"][begins] = c.time[first[begins]]
    work["last_us"][some] = c.time[last[some]]
    work["orig_packets"] += sent_packets
    work["resp_packets"] += packets - sent_packets
    work["answered"] |= packets > sent_packets
    work["orig_bytes"] += sent_bytes
    work["resp_bytes"] += total - sent_bytes
    work["orig_flags"] |= (seen & 0xFF).astype(np.uint8)
    work["resp_flags"] |= (seen >> 8).astype(np.uint8)
    special = np.flatnonzero(c.special if valid is None else c.special & valid)
    if len(special):
        rows, source = group[special], c.source[special]
        np.add.at(work["wrong_fragments"], rows, extras.wrong[source])
        np.add.at(work["urgent"], rows, extras.urgent[source])
        np.add.at(work["failed_logins"], rows, np.where(orig[special], 0, extras.failed[source]))
        np.add.at(work["login_attempts"], rows, extras.attempts[source])
        np.bitwise_or.at(work["indicators"], rows, extras.indicators[source])
        work["marked"][rows[extras.urgent_mark(source)]] = True
        if len(extras.marked):
            extras.add_content(work["content"], rows, source, orig[special])


def begin_next(
    rows: Rows, kinds: NDArray[np.uint8], packets: Packets, first: Ints, side: NDArray[np.bool_]
) -> Rows:
    """The rows after a split: of any kind, with packet ``first`` to come."""
    turning = np.flatnonzero(kinds == TURN)
    turned = swap_ends(rows[turning]) if len(turning) else None
    close_reports(rows)
    if turned is not None:
        rows[turning] = turned
    fresh = kinds == FRESH
    rows[fresh] = begin_connections(rows[fresh], packets, first[fresh], side)
    reopened = kinds == REOPEN
    for name in ("answered", "closed", "orig_flags", "resp_flags", "close_us"):
        rows[name][reopened] = 0
    rows["last_us"][reopened] = packets.time_us[first[reopened]]
    return rows
