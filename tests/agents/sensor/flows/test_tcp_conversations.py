"""What belongs to a conversation, packet by packet: handshake, window, resets, other ends."""

from __future__ import annotations

import pytest

from agents.sensor.flows.packets import ACK, FIN, PSH, RST, SYN
from agents.sensor.flows.tcp_conversations import (
    ANEW,
    CLIENT,
    OPEN,
    REACH,
    REJECTED,
    SERVER,
    UNSURE,
    ahead,
    judge,
)

SEQ, ISN = 0xFFFFFFF0, 0x7FFFFFF0
"""Both wrap soon, one of them to a negative number."""


class Talk:
    """The client is the lesser end; numbers are counted from `SEQ` and `ISN`."""

    def __init__(self, *packets: tuple[str, int, int, int, int]) -> None:
        self.state = [0] * 6
        for packet in packets:
            self.see(*packet)

    def see(self, who: str, flags: int, seq: int, ack: int, size: int = 0) -> int:
        server = who == "server"
        own, other = (ISN, SEQ) if server else (SEQ, ISN)
        numbers = (own + seq) % 2**32, (other + ack) % 2**32
        return judge(self.state, server, flags, size, *numbers)


GREETING = (("client", SYN, 0, 0, 0), ("server", SYN | ACK, 0, 1, 0))
PROVEN = (*GREETING, ("client", ACK, 1, 1, 0))


def test_an_ordinary_connection() -> None:
    talk = Talk()
    seen = [
        talk.see(*packet)
        for packet in (
            *PROVEN,
            ("client", PSH | ACK, 1, 1, 100),
            ("server", PSH | ACK, 1, 101, 5000),
            ("client", PSH | ACK, 101, 5001, 10),
            ("client", FIN | ACK, 111, 5001, 0),
            ("server", FIN | ACK, 5001, 112, 0),
            ("client", ACK, 112, 5002, 0),
        )
    ]
    assert seen == [OPEN, OPEN, CLIENT, CLIENT, SERVER, CLIENT, CLIENT, SERVER, CLIENT]


@pytest.mark.parametrize("ack", [0, 2, 100, 2**31, 2**32 - 1])
def test_only_the_servers_own_number_proves(ack: int) -> None:
    talk = Talk(*GREETING)
    assert talk.see("client", ACK, 1, ack) == OPEN
    assert talk.see("client", PSH | ACK, 1, ack, 300) == OPEN
    assert talk.see("client", ACK, 1, 1) == CLIENT


def test_what_came_of_a_lost_handshake_is_proven_by_the_whole_banner() -> None:
    talk = Talk(*GREETING, ("server", PSH | ACK, 1, 1, 20))
    assert talk.see("client", ACK, 1, 11) == OPEN
    assert talk.see("client", ACK, 1, 21) == CLIENT


@pytest.mark.parametrize(
    ("seq", "ack", "size"),
    [
        (3 * 10**9, 1, 50),
        (1 + REACH + 1, 1, 50),
        (-REACH, 1, 50),
        (1, 1 + REACH + 1, 50),
        (1, -REACH, 50),
        (1, 2**31, 0),
    ],
)
@pytest.mark.parametrize("flags", [PSH | ACK, FIN | ACK, PSH])
def test_out_of_the_window_is_no_part_of_it(flags: int, seq: int, ack: int, size: int) -> None:
    talk = Talk(*PROVEN)
    before = list(talk.state)
    assert talk.see("client", flags, seq, ack, size) == REJECTED
    assert talk.state == before
    assert talk.see("client", PSH | ACK, 1, 1, 10) == CLIENT


@pytest.mark.parametrize(("seq", "expected"), [(1, CLIENT), (9_000, REJECTED), (2**31, REJECTED)])
def test_a_reset_needs_its_place(seq: int, expected: int) -> None:
    assert Talk(*PROVEN).see("client", RST, seq, 0) == expected
    assert Talk(*PROVEN).see("client", RST | ACK, seq, 2**30) == expected


def test_a_forged_syn_or_syn_ack_changes_nothing() -> None:
    talk = Talk(*PROVEN)
    assert talk.see("client", SYN, 77, 0) == OPEN
    assert talk.see("client", SYN, 77, 0, 40) == REJECTED
    assert talk.see("client", SYN | ACK, 77, 1) == REJECTED
    assert talk.see("client", SYN | FIN, 1, 0) == REJECTED
    assert talk.see("client", PSH | ACK, 1, 1, 10) == CLIENT


def test_the_servers_next_syn_ack_begins_another() -> None:
    talk = Talk(*PROVEN, ("client", SYN, 900, 0, 0))
    assert talk.see("server", SYN | ACK, 5_000, 901) == ANEW
    assert talk.see("client", PSH | ACK, 1, 1, 10) == OPEN, "of the old one"
    assert talk.see("client", ACK, 901, 5_001) == CLIENT


def test_the_same_syn_ack_again_is_none() -> None:
    talk = Talk(*PROVEN)
    assert talk.see("server", SYN | ACK, 0, 1) == OPEN
    assert talk.see("client", ACK, 1, 1) == CLIENT


def test_a_forged_syn_ack_before_the_real_one_gives_way() -> None:
    """Sent by the client before it asks: whoever answers a SYN is the server."""
    talk = Talk(("client", SYN | ACK, 50, 50, 0), *GREETING)
    assert talk.see("client", ACK, 1, 1) == CLIENT


def test_a_forged_syn_ack_after_the_real_one_does_not_take_its_place() -> None:
    talk = Talk(*GREETING, ("client", SYN | ACK, 50, 50, 0))
    assert talk.see("client", ACK, 1, 1) == CLIENT


@pytest.mark.parametrize(
    ("seq", "ack", "expected"),
    [(1, 1, SERVER), (1, 20_000, UNSURE), (1, 2**31, UNSURE), (200_000, 1, UNSURE)],
)
def test_what_a_server_says_counts_where_it_fits(seq: int, ack: int, expected: int) -> None:
    assert Talk(*PROVEN).see("server", PSH | ACK, seq, ack, 30) == expected


def test_after_a_loss_the_client_is_judged_by_the_server() -> None:
    """20,000 bytes were not captured; the server's acknowledgement says that they came."""
    talk = Talk(*PROVEN)
    assert talk.see("client", PSH | ACK, 20_001, 1, 10) == REJECTED
    assert talk.see("server", ACK, 1, 20_011) == UNSURE
    assert talk.see("client", PSH | ACK, 20_011, 1, 10) == CLIENT


def test_without_a_syn_ack_nothing_is_judged() -> None:
    talk = Talk()
    assert {talk.see("client", PSH | ACK, n, n, 10) for n in range(5)} == {OPEN}
    assert {talk.see("server", ACK, n, n, 10) for n in range(5)} == {OPEN}


@pytest.mark.parametrize(("number", "base", "apart"), [(1, 2**32 - 1, 2), (2**32 - 1, 1, -2)])
def test_numbers_go_round(number: int, base: int, apart: int) -> None:
    assert ahead(number, base) == apart
