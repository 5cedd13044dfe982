"""Who is client and who is server of each packet, and how far the handshake had come.

The flow table reports connections when they end; a signature wants to know at its packet. Memory
is bounded: the flow longest without a packet is forgotten first, and then counts as picked up in
mid-stream.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.conversation_blocks import judge
from agents.sensor.flows.packets import ACK, FIN, RST, SYN, TCP, UDP, Packets
from agents.sensor.flows.tcp_conversations import REJECTED, TALK
from agents.sensor.signatures.applications import LOOK, client_speaks, recognise
from ontology.ordering import stable_order

MAX_FLOWS = 131_072

# One flow in one integer: who began it (the greater end: 1), how far it has come, what befell it.
_SIDE = 1
_ASKED, _ANSWERED, _ESTABLISHED = 2, 4, 8
_CLOSED, _MIDSTREAM, _CONFIRMED = 16, 32, 64
_KNOWN, _LOOKS = 128, 12
"""What it speaks is known or given up; above it three bits count the payloads looked at."""
_APPLICATION = 8
"""Above it four bits: what it speaks, of `applications.NAMES`."""
_MAX_LOOKS = 4
_UNKNOWN = -1, bytes(TALK.itemsize)


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """Columns for the packets of `Packets`."""

    to_server: NDArray[np.bool_]
    established: NDArray[np.bool_]
    """TCP: data after a three-way handshake that was seen (or, if so asked, of a connection picked
    up in mid-stream), not what opens or resets it; UDP: both ends have sent."""
    application: NDArray[np.uint8]
    """What the flow speaks, of `applications.NAMES`, as far as that was seen up to the packet."""
    group: NDArray[np.int64]
    """Number of the packet's flow within the block."""
    keys: list[bytes]
    """By group: names the flow for `FlowStates.confirmed`."""
    standing: NDArray[np.uint8]
    """To its conversation, see `agents.sensor.flows.tcp_conversations`."""
    restarted: list[tuple[int, int]]
    """(packet, group) where the same ends began a new conversation."""


class FlowStates:
    """All flows of one sensor, for signatures.

    Args:
        midstream: a connection whose handshake wasn't seen counts as established.
    """

    def __init__(self, *, max_flows: int = MAX_FLOWS, midstream: bool = False) -> None:
        self._max_flows = max_flows
        self._midstream = midstream
        self._states: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()
        """What was seen of the flow, and its `TALK`."""
        self.evicted = 0
        self.cut_off = 0
        """Packets with data of connections whose handshake wasn't seen, unless these count."""

    def __len__(self) -> int:
        return len(self._states)

    def confirmed(self, key: bytes) -> bool:
        """The server has taken the handshake for real: we saw it from its first packet, and then a
        program on the server sent data or ended the connection. What is sent in the client's name
        proves nothing: a server in the middle of a handshake is silent, or acknowledges, or resets.
        """
        state = self._states.get(key, (0, b""))[0]
        return bool(state & _CONFIRMED) and not state & _MIDSTREAM

    def look_up(self, packets: Packets) -> Flows:
        """Take in a block of packets, in order."""
        names, side = _names(packets)
        unique, group = np.unique(names, return_inverse=True)
        keys = [name.tobytes() for name in unique]
        get = self._states.get
        known = [get(key, _UNKNOWN) for key in keys]
        states = [state for state, _ in known]
        talk = np.frombuffer(bytearray().join(bytes_ for _, bytes_ in known), TALK)
        standing = np.empty(len(packets), np.uint8)
        order = stable_order(group.astype(np.uint64))
        standing[order] = judge(
            group[order],
            side[order],
            packets.flags[order],
            packets.payload_bytes[order],
            packets.sequence[order],
            packets.acknowledgement[order],
            talk,
        )
        to_server, established = bytearray(len(packets)), bytearray(len(packets))
        application = bytearray(len(packets))
        restarted: list[tuple[int, int]] = []
        cut_off = 0
        # Nearly all the time goes here: locals, small integers, no calls.
        for number, (flow, sender, flags, protocol, low, spoke, foreign) in enumerate(
            zip(
                group.tolist(),
                side.tolist(),
                packets.flags.tolist(),
                packets.protocol.tolist(),
                (packets.src_port < packets.dst_port).tolist(),
                ((packets.payload_bytes > 0) | (packets.flags & FIN > 0)).tolist(),
                (standing == REJECTED).tolist(),
                strict=True,
            )
        ):
            state = states[flow]
            if foreign:
                pass  # no part of the flow, whatever it says
            elif protocol == TCP:
                if flags & SYN:
                    if not flags & ACK:
                        # The same ports again; a SYN sent twice, or forged, must not reopen what
                        # was answered.
                        if state < 0 or state & _CLOSED or not state & (_ANSWERED | _ESTABLISHED):
                            if state >= 0:
                                restarted.append((number, flow))
                            state = sender | _ASKED
                    elif state < 0:
                        state = (not sender) | _ASKED | _ANSWERED | _MIDSTREAM
                    elif sender != state & _SIDE:
                        state |= _ANSWERED
                elif state < 0:
                    # Picked up in mid-stream: the lower port is the server's.
                    state = (sender ^ low) | _ESTABLISHED | _MIDSTREAM
                elif flags & RST:
                    state |= _CLOSED
                    if sender != state & _SIDE and not state & _CONFIRMED:
                        state &= ~_ESTABLISHED
                elif flags & ACK:
                    if sender == state & _SIDE:
                        if state & _ANSWERED:
                            state |= _ESTABLISHED
                    elif spoke and state & _ESTABLISHED:
                        state |= _CONFIRMED
                if flags & FIN:
                    state |= _CLOSED
            elif state < 0:
                state = int(sender)
            elif sender != state & _SIDE:
                state |= _ESTABLISHED
            if spoke and not foreign and not state & _KNOWN:
                state = _listen(packets, number, state, sender)
            states[flow] = state
            to_server[number] = sender == state & _SIDE
            application[number] = state >> _APPLICATION & 15
            if state & _ESTABLISHED and not flags & (SYN | RST):
                if state & _MIDSTREAM and not self._midstream:
                    cut_off += spoke
                else:
                    established[number] = True
        self.cut_off += cut_off
        self._keep(keys, states, talk)
        return Flows(
            np.frombuffer(to_server, np.bool_),
            np.frombuffer(established, np.bool_),
            np.frombuffer(application, np.uint8),
            group,
            keys,
            standing,
            restarted,
        )

    def _keep(self, keys: list[bytes], states: list[int], talk: NDArray[np.void]) -> None:
        table = self._states
        block, size = talk.tobytes(), TALK.itemsize
        for number, (key, state) in enumerate(zip(keys, states, strict=True)):
            if key in table:
                table.move_to_end(key)
            table[key] = state, block[number * size : number * size + size]
        while len(table) > self._max_flows:
            table.popitem(last=False)
            self.evicted += 1


def _listen(packets: Packets, number: int, state: int, sender: bool) -> int:
    """The state of a flow with what one more payload says of it."""
    size = int(packets.payload_length[number])
    if not size or packets.flags[number] & (SYN | RST):
        return state
    begin = int(packets.payload_offset[number])
    data = packets.data[begin : begin + min(size, LOOK)].tobytes()
    if state & _MIDSTREAM:
        # The lower port was a guess; words are better.
        client = client_speaks(data)
        if client is not None:
            state = state & ~_SIDE | (sender if client else not sender)
    port = packets.dst_port if sender == state & _SIDE else packets.src_port
    found = recognise(data, int(packets.protocol[number]), int(port[number]))
    looks = (state >> _LOOKS & 7) + 1
    state = state & ~(7 << _LOOKS) | looks << _LOOKS | found << _APPLICATION
    return state | _KNOWN if found or looks >= _MAX_LOOKS else state


def _names(packets: Packets) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
    """Names equal for both directions, and whether the sender is the greater end."""
    count = len(packets)
    ported = (packets.protocol == TCP) | (packets.protocol == UDP)
    ends = np.zeros((count, 2, 18), np.uint8)
    for number, (address, port) in enumerate(
        ((packets.src, packets.src_port), (packets.dst, packets.dst_port))
    ):
        ends[:, number, :16] = address
        ends[:, number, 16:] = np.where(ported, port, 0).astype(">u2").view(np.uint8).reshape(-1, 2)
    packed = ends.view("V18")[:, :, 0]
    # Not "S18": trailing NUL bytes would not count, and port 0 is a port.
    numbers = np.zeros((count, 2, 24), np.uint8)
    numbers[:, :, :18] = ends
    words = numbers.view(">u8")
    side = np.zeros(count, np.bool_)
    open_ = np.ones(count, np.bool_)
    for word in range(3):
        source, target = words[:, 0, word], words[:, 1, word]
        side |= open_ & (source > target)
        open_ &= source == target
    names = np.zeros((count, 37), np.uint8)
    flat = np.where(side[:, None], packed[:, ::-1], packed)
    names[:, :36] = np.ascontiguousarray(flat).view(np.uint8).reshape(count, 36)
    names[:, 36] = packets.protocol
    return names.view("V37")[:, 0], side
