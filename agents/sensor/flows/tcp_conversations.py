"""Which TCP segments belong to a conversation that both ends can be shown to take part in.

An off-path forger sends what he likes in somebody else's name, but he doesn't see the answers. So a
*conversation* begins with the responder's SYN-ACK, and is *proven* when the originator acknowledges
the initial sequence number in it: 32 bits that only whoever receives the answers knows. From then
on a segment in the originator's name is part of it only if its sequence number lies within `REACH`
of where the responder and the segments before say that the next one begins, and its acknowledgement
within `REACH` of what the responder has sent and the originator has acknowledged already. On a
connection that is idle one forged segment in 2**36 does both. (RFC 5961 asks both of a receiver as
well, in the whole window.) What does neither is no part of it: it counts nowhere and closes
nothing.

The responder's own segments are taken as they are for where the conversation stands, since with
them the originator is judged; what they *say* (a refused login) counts only if they fit as well.

This module is the statement of what is meant, one packet at a time.
`agents.sensor.flows.conversation_blocks` does the same for whole blocks, and comes here for what it
can't: conversations whose ends change places within a block.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import ACK, FIN, RST, SYN

TALK = np.dtype(
    [
        ("isn", "<u4"),  # the server's initial sequence number
        ("server_next", "<u4"),  # behind what the server has sent
        ("server_ack", "<u4"),  # what it has acknowledged
        ("client_next", "<u4"),
        ("client_ack", "<u4"),
        ("phase", "u1"),
    ]
)
"""How far the last conversation of two ends has come. Its *server* is who sent the SYN-ACK."""
KNOWN, PROVEN, GREATER, ASKED, LESSER_SYN, GREATER_SYN = 1, 2, 4, 8, 16, 32
"""Bits of ``phase``: a SYN-ACK was seen; its number was acknowledged; its sender is the greater end
of the key; a SYN came before it; SYNs that were seen of either end."""

OPEN, CLIENT, REJECTED, SERVER, UNSURE, ANEW = range(6)
"""How a packet stands to the conversation: there is none, or it isn't proven (nothing is judged);
it is the client's part of it; no part of it; the server's; the server's, but what it says proves
nothing; a SYN-ACK by which another conversation takes the place of a proven one."""

REACH = 1 << 13
"""Bytes by which the numbers of a segment may be off: five full segments that were lost before the
sensor, or came in another order."""
FLIGHT = 1 << 17
"""Bytes that a server may be ahead of what was acknowledged when it says something that counts."""
CORE = SYN | ACK | RST | FIN
"""The flags that matter here."""


def in_turn(
    side: NDArray[np.bool_],
    flags: NDArray[np.uint8],
    size: NDArray[np.int64],
    sequence: NDArray[np.uint32],
    acknowledgement: NDArray[np.uint32],
    talk: NDArray[np.void],
    number: int,
) -> NDArray[np.uint8]:
    """How the packets of one connection, ``talk[number]``, stand; in their order."""
    state = list(talk[number].item())
    out = [
        judge(state, *packet)
        for packet in zip(
            side.tolist(),
            flags.tolist(),
            size.tolist(),
            sequence.tolist(),
            acknowledgement.tolist(),
            strict=True,
        )
    ]
    talk[number] = tuple(state)
    return np.array(out, np.uint8)


def judge(
    state: list[int], greater: bool, flags: int, size: int, sequence: int, acknowledgement: int
) -> int:
    """How one packet stands; ``state``, the fields of `TALK`, is brought up to date."""
    isn, server_next, server_ack, client_next, client_ack, phase = state
    core = flags & CORE
    proven = phase & PROVEN > 0
    if core & SYN:
        if core == SYN | ACK:
            return _greet(state, greater, size, sequence, acknowledgement)
        if not core & ACK:
            state[5] |= GREATER_SYN if greater else LESSER_SYN
        return REJECTED if proven and (size or core != SYN) else OPEN
    if not phase & KNOWN:
        return OPEN
    end = sequence + size + (core & FIN)
    segment = core & (RST | ACK) == ACK
    if greater == (phase & GREATER > 0):
        if segment:
            state[1] = server_next = _later(server_next, end)
            state[2] = server_ack = _later(server_ack, acknowledgement)
        if not proven:
            return OPEN
        if core & RST:
            return SERVER
        sure = (
            segment
            and ahead(acknowledgement, server_ack) >= -REACH
            and ahead(acknowledgement, client_next) <= REACH
            and -REACH <= ahead(sequence, client_ack) <= FLIGHT
        )
        return SERVER if sure else UNSURE
    fits = (
        ahead(sequence, server_ack) >= -REACH
        and ahead(sequence, _later(client_next, server_ack)) <= REACH
    )
    if proven and core & RST:
        return CLIENT if fits else REJECTED
    if not proven:
        if not (segment and fits and acknowledgement in ((isn + 1) & 0xFFFFFFFF, server_next)):
            return OPEN
        state[5] |= PROVEN
        state[3], state[4] = _later(client_next, end), acknowledgement
        return CLIENT
    fits = (
        fits
        and segment
        and ahead(acknowledgement, client_ack) >= -REACH
        and ahead(acknowledgement, server_next) <= REACH
    )
    if not fits:
        return REJECTED
    state[3], state[4] = _later(client_next, end), _later(client_ack, acknowledgement)
    return CLIENT


def _greet(state: list[int], greater: bool, size: int, sequence: int, acknowledgement: int) -> int:
    """A SYN-ACK: a conversation begins, if it isn't one of somebody who was not asked."""
    phase = state[5]
    asked = phase & (LESSER_SYN if greater else GREATER_SYN) > 0
    if phase & KNOWN and greater != (phase & GREATER > 0):
        if phase & PROVEN:
            return REJECTED
        # Only who answers a SYN takes the place of who was never asked.
        if phase & ASKED or not asked:
            return OPEN
    anew = phase & PROVEN > 0 and state[0] != sequence
    state[5] = phase & (LESSER_SYN | GREATER_SYN) | KNOWN | GREATER * greater | ASKED * asked
    state[:5] = (
        sequence,
        (sequence + size + 1) & 0xFFFFFFFF,
        acknowledgement,
        acknowledgement,
        sequence,
    )
    return ANEW if anew else OPEN


def ahead(number: int, base: int) -> int:
    """By how much a sequence number lies behind ``base``, in [-2**31, 2**31)."""
    return ((number - base + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def _later(one: int, other: int) -> int:
    """The later one of two sequence numbers."""
    return other & 0xFFFFFFFF if ahead(other, one) > 0 else one
