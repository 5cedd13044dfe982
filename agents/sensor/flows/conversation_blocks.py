"""The rules of `agents.sensor.flows.tcp_conversations` for whole blocks of packets at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import ACK, FIN, RST, SYN
from agents.sensor.flows.tcp_conversations import (
    ANEW,
    ASKED,
    CORE,
    FLIGHT,
    GREATER,
    GREATER_SYN,
    KNOWN,
    LESSER_SYN,
    OPEN,
    PROVEN,
    REACH,
    REJECTED,
    in_turn,
)

Ints = NDArray[np.int64]

_ROUNDS = 8
"""Of `_Block._accepted`, for all connections at once; what is not settled goes one by one."""
_FAR = 1 << 30
_LOW = -(1 << 33)
_APART = 35
"""Spells are this many bits apart in one running maximum."""
_NEVER = np.iinfo(np.int64).max


def judge(
    group: Ints,
    side: NDArray[np.bool_],
    flags: NDArray[np.uint8],
    size: Ints,
    sequence: NDArray[np.uint32],
    acknowledgement: NDArray[np.uint32],
    talk: NDArray[np.void],
) -> NDArray[np.uint8]:
    """How each packet stands to its conversation; ``talk`` is brought up to date.

    Args:
        group: (n,) ascending: the connection of each packet, which come in order within it.
        side: the sender is the greater end of the key.
        flags: of TCP; 0 for other protocols.
        size: payload bytes.
        talk: (connections,) of `TALK`.
    """
    standing = np.zeros(len(group), np.uint8)
    opening = np.flatnonzero(flags & SYN)
    active = talk["phase"] & KNOWN > 0
    greeting = opening[flags[opening] & CORE == SYN | ACK]
    active[group[greeting]] = True
    odd = _odd(group, side, greeting, talk)
    some = np.flatnonzero((active & ~odd)[group]) if not active.all() or odd.any() else None
    if some is None:
        columns = group, side, flags, size, sequence, acknowledgement
    else:
        columns = tuple(c[some] for c in (group, side, flags, size, sequence, acknowledgement))  # type: ignore[assignment]
    if len(columns[0]):
        found, unsettled = _Block(*columns, talk).run()
        if some is None:
            standing = found
        else:
            standing[some] = found
        odd[unsettled] = True
    for number in np.flatnonzero(odd).tolist():
        begin, end = np.searchsorted(group, (number, number + 1)).tolist()
        part = slice(begin, end)
        standing[part] = in_turn(
            side[part], flags[part], size[part], sequence[part], acknowledgement[part], talk, number
        )
    for lesser, bit in ((True, LESSER_SYN), (False, GREATER_SYN)):
        asking = opening[(flags[opening] & ACK == 0) & (side[opening] != lesser)]
        talk["phase"][group[asking]] |= bit
    return standing


def _odd(
    group: Ints, side: NDArray[np.bool_], greeting: Ints, talk: NDArray[np.void]
) -> NDArray[np.bool_]:
    """Connections with a SYN-ACK of who was not, or is not always, the server."""
    odd = np.zeros(len(talk), np.bool_)
    if len(greeting):
        of, by = group[greeting], side[greeting]
        phase = talk["phase"][of]
        odd[of[(phase & KNOWN > 0) & ((phase & GREATER > 0) != by)]] = True
        same = of[1:] == of[:-1]
        odd[of[1:][same & (by[1:] != by[:-1])]] = True
    return odd


class _Block:
    """Packets of connections whose servers don't change, and the working columns of `judge`.

    Numbers are relative: in the server's space to what it has sent at first, in the client's to
    what the server has acknowledged at first. Each SYN-ACK begins another *spell* of a connection.
    """

    def __init__(
        self,
        group: Ints,
        side: NDArray[np.bool_],
        flags: NDArray[np.uint8],
        size: Ints,
        sequence: NDArray[np.uint32],
        acknowledgement: NDArray[np.uint32],
        talk: NDArray[np.void],
    ) -> None:
        self.talk = talk
        self.group, self.size = group, size
        self.core = flags & CORE
        begins = np.empty(len(group), np.bool_)
        begins[0] = True
        np.not_equal(group[1:], group[:-1], out=begins[1:])
        greets = self.core == SYN | ACK
        begins |= greets
        self.starts = np.flatnonzero(begins)
        self.spell = np.cumsum(begins) - 1
        self.parent = group[self.starts]
        self.greets = greets[self.starts]
        before = talk[self.parent]
        fresh, at = self.greets, self.starts
        phase = before["phase"]
        self.known = fresh | (phase & KNOWN > 0)
        self.proven = ~fresh & (phase & PROVEN > 0)
        self.greater = np.where(fresh, side[at], phase & GREATER > 0)
        self.isn = np.where(fresh, sequence[at], before["isn"]).astype(np.uint32)
        first = sequence[at] + size[at].astype(np.uint32) + np.uint32(1)
        self.server_base = np.where(fresh, first, before["server_next"]).astype(np.uint32)
        self.client_base = np.where(fresh, acknowledgement[at], before["server_ack"]).astype(
            np.uint32
        )
        client_next = np.where(fresh, acknowledgement[at], before["client_next"]).astype(np.uint32)
        self.client_first = _distance(client_next, self.client_base)
        acknowledged = _distance(before["client_ack"], self.server_base)
        self.client_acked = np.where(self.proven, acknowledged, _LOW)
        spell = self.spell
        self.server = side == self.greater[spell]
        turned = self.server
        self.in_server = _distance(
            np.where(turned, sequence, acknowledgement), self.server_base[spell]
        )
        self.in_client = _distance(
            np.where(turned, acknowledgement, sequence), self.client_base[spell]
        )
        self.syn = self.core & SYN > 0
        self.at_syn = np.flatnonzero(self.syn)
        self.segment = self.core & (SYN | RST | ACK) == ACK
        self.asked = self._asked(side)
        self.length = size + (self.core & FIN)  # FIN is bit 0
        self.offset = spell << _APART

    def _asked(self, side: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """For each spell that a SYN-ACK begins: the other end had sent a SYN."""
        phase = self.talk["phase"][self.parent]
        out = np.where(self.greater, phase & LESSER_SYN > 0, phase & GREATER_SYN > 0)
        asking = self.at_syn[self.core[self.at_syn] & ACK == 0]
        if len(asking):
            for greater in (False, True):
                first = np.full(len(self.talk), _NEVER)
                own = asking[side[asking] == greater]
                first[self.group[own][::-1]] = own[::-1]
                out |= (self.greater != greater) & (first[self.parent] < self.starts)
        return np.where(self.greets, out, phase & ASKED > 0)

    def _highest(self, values: Ints, which: NDArray[np.bool_], initial: Ints | int) -> Ints:
        """The running maximum of some values within each spell, at least ``initial``."""
        out = np.where(which, values, _LOW)
        out[self.starts] = np.maximum(out[self.starts], initial)
        out += self.offset
        np.maximum.accumulate(out, out=out)
        out -= self.offset
        return out

    def run(self) -> tuple[NDArray[np.uint8], Ints]:
        """(standing of each packet, connections that did not settle; `TALK` is as it was there)."""
        spell, server = self.spell, self.server
        speaks = self.segment & server
        sent = self._highest(self.in_server + self.length, speaks, 0)
        acked = self._highest(self.in_client, speaks, 0)
        near = self.in_client >= acked - REACH
        client = (self.segment & near) > server
        proof = self._proofs(client, sent, acked)
        live = np.arange(len(spell)) >= proof[spell]
        first = proof[(proof >= 0) & (proof < _NEVER)]
        client &= live
        client &= self.in_server <= sent + REACH
        accepted, next_, confirmed, unsettled = self._accepted(client, acked, first)
        # Where a server's numbers jump about, distances from the first one are not enough.
        far = np.maximum(np.abs(self.in_server), np.abs(self.in_client)) > _FAR
        if far.any():
            unsettled = np.union1d(unsettled, self.group[far & speaks])
        fits = accepted
        resets = self.core & RST > 0
        if resets.any():
            upper = np.maximum(self._before(next_), acked) + REACH
            fits = fits | (resets & (server | (near & (self.in_client <= upper))))
        speaks &= near
        speaks &= self.in_client <= next_ + REACH
        speaks &= self.in_server >= confirmed - REACH
        speaks &= self.in_server <= confirmed + FLIGHT
        # CLIENT or REJECTED of the one, SERVER or UNSURE of the other.
        standing = (server * np.uint8(2) + np.uint8(2) - (fits | speaks)) * (live > self.syn)
        if live[self.at_syn].any():
            odd = self.at_syn[live[self.at_syn]]
            standing[odd[(self.core[odd] != SYN) | (self.size[odd] > 0)]] = REJECTED
            standing[self.starts[self.greets]] = OPEN
        self._end(standing, proof < _NEVER, sent, acked, next_, confirmed, unsettled)
        return standing, unsettled

    def _proofs(self, candidates: NDArray[np.bool_], sent: Ints, acked: Ints) -> Ints:
        """Where each spell is proven; -1: before."""
        proof = np.where(self.proven, -1, _NEVER)
        open_ = self.known & ~self.proven
        if open_.any():
            at = np.flatnonzero(candidates & open_[self.spell])
            of = self.spell[at]
            number = _distance(self.isn + np.uint32(1), self.server_base)[of]
            told = self.in_server[at]
            upper = np.maximum(self.client_first[of], acked[at]) + REACH
            good = ((told == number) | (told == sent[at])) & (self.in_client[at] <= upper)
            proof[of[good][::-1]] = at[good][::-1]  # of repeated indices the last assignment stays
        return proof

    def _before(self, values: Ints) -> Ints:
        """``values`` of the client's running maximum before each packet."""
        out = np.empty_like(values)
        out[1:] = values[:-1]
        out[self.starts] = self.client_first
        return out

    def _accepted(
        self, candidates: NDArray[np.bool_], acked: Ints, first: Ints
    ) -> tuple[NDArray[np.bool_], Ints, Ints, Ints]:
        """Which of the client's segments fit, each judged by those before it that do.

        A set that agrees with its own judgement is the one that judging in turn gives, since what
        decides on a packet lies before it. All are taken to fit at first; then hardly any round
        changes anything.
        """
        accepted = candidates
        accepted[first] = True  # the proof is judged by its own rule
        for _ in range(_ROUNDS):
            next_ = self._highest(self.in_client + self.length, accepted, self.client_first)
            confirmed = self._highest(self.in_server, accepted, self.client_acked)
            now = candidates & (self.in_server >= confirmed - REACH)
            now &= self.in_client <= np.maximum(self._before(next_), acked) + REACH
            now[first] = True
            if (now == accepted).all():
                return accepted, next_, confirmed, first[:0]
            accepted, before = now, accepted
        return accepted, next_, confirmed, np.unique(self.group[now != before])

    def _end(
        self,
        standing: NDArray[np.uint8],
        proven: NDArray[np.bool_],
        sent: Ints,
        acked: Ints,
        next_: Ints,
        confirmed: Ints,
        unsettled: Ints,
    ) -> None:
        """Mark SYN-ACKs that take a proven conversation's place, and note where each one stands."""
        old_isn, old_proven = self.talk["isn"][self.parent], self.talk["phase"][self.parent]
        replaced = (old_proven & PROVEN > 0) & (old_isn != self.isn)
        same = np.flatnonzero(self.parent[1:] == self.parent[:-1])
        replaced[same + 1] = proven[same] & (self.isn[same] != self.isn[same + 1])
        standing[self.starts[replaced & self.greets]] = ANEW
        last = np.append(self.parent[1:] != self.parent[:-1], True)
        if len(unsettled):
            last &= ~np.isin(self.parent, unsettled)
        last &= self.known
        spells = np.flatnonzero(last)
        ends = np.append(self.starts[1:], len(standing))[spells] - 1
        rows = self.parent[spells]
        talk = self.talk[rows]
        syns = talk["phase"] & (LESSER_SYN | GREATER_SYN)
        talk["phase"] = (
            syns
            | KNOWN
            | (PROVEN * proven[spells])
            | (GREATER * self.greater[spells])
            | (ASKED * self.asked[spells])
        )
        talk["isn"] = self.isn[spells]
        server, client = self.server_base[spells], self.client_base[spells]
        talk["server_next"] = server + sent[ends].astype(np.uint32)
        talk["server_ack"] = client + acked[ends].astype(np.uint32)
        talk["client_next"] = client + next_[ends].astype(np.uint32)
        talk["client_ack"] = np.where(
            proven[spells], server + confirmed[ends].astype(np.uint32), self.isn[spells]
        )
        self.talk[rows] = talk


def _distance(numbers: NDArray[np.uint32], base: NDArray[np.uint32]) -> Ints:
    """Sequence numbers from ``base`` on, in [-2**31, 2**31)."""
    return (numbers - base).view(np.int32).astype(np.int64)
