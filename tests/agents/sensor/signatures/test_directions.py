"""Who is the client, how far the handshake came, and what is forgotten."""

import struct

from agents.sensor.flows.decode import decode
from agents.sensor.signatures.directions import FlowStates
from tests.factories import FLAGS, make_packets

CLIENT, SERVER = (b"\xc0\0\2\7", 40000), (b"\xc6\x33\x64\5", 80)
Packet = tuple[tuple[bytes, int], tuple[bytes, int], str, bytes]


def frame(packet: Packet) -> bytes:
    (source, sport), (target, dport), flags, payload = packet
    bits = sum(FLAGS[letter] for letter in flags)
    tcp = struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 5 << 4, bits, 100, 0, 0)
    head = struct.pack("!BBHHHBBH", 69, 0, 40 + len(payload), 0, 0, 64, 6, 0)
    return bytes(12) + b"\x08\0" + head + source + target + tcp + payload


def there(flags: str, payload: bytes = b"") -> Packet:
    return CLIENT, SERVER, flags, payload


def back(flags: str, payload: bytes = b"") -> Packet:
    return SERVER, CLIENT, flags, payload


def seen(*packets: Packet, states: FlowStates | None = None) -> list[tuple[bool, bool]]:
    """(to the server, established) of each packet."""
    flows = (FlowStates() if states is None else states).look_up(
        decode(make_packets(*map(frame, packets)))
    )
    return list(zip(flows.to_server.tolist(), flows.established.tolist(), strict=True))


def test_a_handshake() -> None:
    packets = (there("S"), back("SA"), there("A"), there("PA", b"x"), back("PA", b"y"))
    assert seen(*packets) == [
        (True, False), (False, False), (True, True), (True, True), (False, True),
    ]  # fmt: skip


def test_what_is_picked_up_in_mid_stream_has_the_lower_port_as_server() -> None:
    asked = FlowStates(midstream=True)
    assert seen(back("PA", b"x"), states=asked) == [(False, True)]
    assert seen(there("PA", b"x"), states=asked) == [(True, True)]
    assert seen(back("PA", b"x")) == [(False, False)]
    assert seen(there("PA", b"x")) == [(True, False)]
    assert seen(back("SA")) == [(False, False)]


def test_a_forged_syn_does_not_reopen_what_was_answered() -> None:
    packets = (there("S"), back("SA"), there("A"), back("S"), there("PA", b"x"))
    assert seen(*packets)[-1] == (True, True)


def test_only_a_server_that_spoke_confirms_a_flow_seen_from_its_first_packet() -> None:
    def confirmed(*packets: Packet) -> bool:
        states = FlowStates()
        flows = states.look_up(decode(make_packets(*map(frame, packets))))
        return states.confirmed(flows.keys[0])

    whole = (there("S"), back("SA"), there("A"), back("PA", b"220"))
    assert confirmed(*whole)
    assert not confirmed(*whole[1:]), "the client's SYN was not seen"
    assert not confirmed(there("S"), back("SA"), there("PA", b"GET /")), "the server is silent"


def test_the_flow_longest_silent_is_forgotten() -> None:
    states = FlowStates(max_flows=2)
    for port in (1, 2, 3):
        client = (CLIENT[0], 40000 + port)
        seen((client, SERVER, "S", b""), states=states)
    assert (len(states), states.evicted) == (2, 1)
