from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.messages.acl import AclMessage
from agents.settings.honeynet import Settings
from agents.trust import signing
from agents.trust.identity import Refused, load_identity
from agents.trust.signing import CHALLENGE_LIMIT_US, FRESHNESS_US, Signer, Verifier

WALL_US = 1_700_000_000_000_000
NOW = 500_000_000
"""Of the sender's clock that only runs; the receiver's is 7 s ahead."""
AHEAD_US = 7_000_000
SENSOR, ANALYZER = "sensor.gw1@honeynet.test", "analyzer.gw1@honeynet.test"
S = 1_000_000


def message(**changes: object) -> AclMessage:
    fields: dict[str, object] = {
        "performative": "inform",
        "sender": SENSOR,
        "receivers": (ANALYZER,),
        "protocol": "fipa-subscribe",
        "conversation_id": "c",
        "reply_with": "m",
        "content": "text",
    }
    return AclMessage(**(fields | changes))  # type: ignore[arg-type]


class Pair:
    """A sender and a receiver that begins to know it; times are the sender's."""

    def __init__(self, honeynet: Settings, role: str = "sensor") -> None:
        self.identity = load_identity(honeynet, role, "gw1")  # type: ignore[arg-type]
        self.verifier = Verifier(ANALYZER, self.identity.keyring)
        self.restart_sender(NOW - 60 * S)
        self.meet(NOW - 50 * S)

    def restart_sender(self, now_us: int, wall_us: int = WALL_US) -> None:
        self.signer = Signer(self.identity.key, wall_us=wall_us, steady_us=now_us)

    def sign(self, now_us: int = NOW, **changes: object) -> AclMessage:
        unsigned = message(**({"sender": self.identity.peer.jid} | changes))
        return self.signer.sign(unsigned, now_us)

    def meet(self, now_us: int, took_us: int = 2_000) -> bool:
        word = self.verifier.challenge(self.identity.peer.jid, now_us + AHEAD_US)
        assert word is not None
        answer = self.sign(now_us + took_us // 2, in_reply_to=word)
        return self.verifier.meet(answer, now_us + AHEAD_US + took_us)

    def check(self, signed: AclMessage, now_us: int = NOW) -> None:
        self.verifier.check(signed, now_us + AHEAD_US)

    def reason(self, signed: AclMessage, now_us: int = NOW) -> str:
        with pytest.raises(Refused) as caught:
            self.check(signed, now_us)
        return caught.value.reason


@pytest.fixture
def pair(honeynet: Settings) -> Pair:
    return Pair(honeynet)


def test_signed_message_is_accepted(pair: Pair) -> None:
    peer = pair.verifier.check(pair.sign(), NOW + AHEAD_US)
    assert (peer.jid, peer.role, peer.node) == (SENSOR, "sensor", "gw1")


@pytest.mark.parametrize(
    "change",
    [
        {"content": "other"},
        {"performative": "request"},
        {"conversation_id": "other"},
        {"reply_with": "other"},
        {"sent_us": NOW - 1},
        {"session": "other"},
        {"waited_ms": 1},
        {"ontology": "http://example.test/other"},
        {"receivers": (ANALYZER, "analyzer.gw2@honeynet.test")},
        {"reply_by_us": NOW + 10_000_000},
        {"signature": "AAAA"},
        {"signature": "not base64"},
    ],
)
def test_any_change_breaks_the_signature(pair: Pair, change: dict[str, object]) -> None:
    changed = replace(pair.sign(), **change)  # type: ignore[arg-type]
    assert pair.reason(changed) == "bad-signature"


def test_key_of_another_agent_is_refused(honeynet: Settings, pair: Pair) -> None:
    other = load_identity(honeynet, "reaction", "gw1").key
    forged = Signer(other, wall_us=WALL_US, steady_us=NOW).sign(message(), NOW)
    assert pair.reason(forged) == "bad-signature"


def test_stranger_and_wrong_address_are_refused(pair: Pair) -> None:
    assert pair.reason(pair.sign(sender="nobody@honeynet.test")) == "unknown-sender"
    misdirected = pair.sign(receivers=("analyzer.gw2@honeynet.test",))
    assert pair.reason(misdirected) == "wrong-receiver"


def test_freshness_window(pair: Pair) -> None:
    """Ages are known to the round trip of the challenge, here 2 ms."""
    pair.check(pair.sign(NOW - FRESHNESS_US + 3_000))
    pair.check(pair.sign(NOW + FRESHNESS_US - 3_000))
    assert pair.reason(pair.sign(NOW + FRESHNESS_US + 3_000)) == "stale"
    late = pair.sign(NOW + 40 * S)
    assert pair.reason(late, NOW + 40 * S + FRESHNESS_US) == "stale"


@pytest.mark.parametrize("wall_us", [1, WALL_US - 86_400 * S, WALL_US + 30 * 86_400 * S])
def test_the_wall_clock_of_the_sender_means_nothing(pair: Pair, wall_us: int) -> None:
    pair.restart_sender(NOW, wall_us)
    assert pair.reason(pair.sign(NOW + 1)) == "unmet"
    assert pair.meet(NOW + S)
    pair.check(pair.sign(NOW + 2 * S), NOW + 2 * S)
    assert pair.reason(pair.sign(NOW + 3 * S), NOW + 4 * S + FRESHNESS_US) == "stale"


def test_replay_is_refused_and_a_new_copy_is_not(pair: Pair) -> None:
    signed = pair.sign()
    pair.check(signed)
    assert pair.reason(signed, NOW + 1) == "replay"
    pair.check(pair.signer.sign(signed, NOW), NOW + 2)  # of the same moment, and yet another


def test_a_restart_of_the_receiver_opens_no_window_for_replay(pair: Pair) -> None:
    taken, waiting = pair.sign(), pair.sign()
    pair.check(taken)
    pair.verifier = Verifier(ANALYZER, pair.identity.keyring)
    assert pair.reason(taken, NOW + 1) == "unmet"
    assert pair.meet(NOW + S)
    for signed in (taken, waiting):
        assert pair.reason(signed, NOW + 2 * S) == "unmet"
    pair.check(pair.sign(NOW + 2 * S), NOW + 2 * S)


def test_a_session_that_is_over_never_comes_back(pair: Pair) -> None:
    """Its answers repeat words that nobody waits for any more."""
    before = pair.signer
    word = pair.verifier.challenge(SENSOR, NOW + AHEAD_US)
    answer = before.sign(message(in_reply_to=word or ""), NOW)
    assert pair.verifier.meet(answer, NOW + AHEAD_US + 10) is False
    old = pair.sign()
    pair.restart_sender(NOW + S)
    assert pair.meet(NOW + 2 * S)
    with pytest.raises(Refused, match="unmet"):
        pair.verifier.meet(answer, NOW + 3 * S + AHEAD_US)
    pair.verifier.challenge(SENSOR, NOW + 4 * S + AHEAD_US)
    with pytest.raises(Refused, match="unmet"):
        pair.verifier.meet(answer, NOW + 4 * S + AHEAD_US)
    assert pair.reason(old, NOW + S) == "unmet"


def test_a_challenge_is_open_for_a_while_and_not_repeated_at_once(pair: Pair) -> None:
    verifier = pair.verifier
    word = verifier.challenge(SENSOR, NOW)
    assert word is not None and verifier.challenge(SENSOR, NOW + 1) is None
    assert verifier.challenge("nobody@honeynet.test", NOW) is None
    late = pair.sign(NOW, in_reply_to=word)
    with pytest.raises(Refused, match="unmet"):
        verifier.meet(late, NOW + CHALLENGE_LIMIT_US + 1)
    again = verifier.challenge(SENSOR, NOW + S)
    assert again not in (None, word)


def test_acquaintance_that_is_renewed_keeps_what_was_taken(pair: Pair) -> None:
    signed = pair.sign()
    pair.check(signed)
    assert pair.meet(NOW + S) is False
    assert pair.reason(signed, NOW + 2 * S) == "replay"
    pair.check(pair.sign(NOW + 500_000), NOW + 2 * S)


def test_a_steady_clock_that_jumped_is_met_anew(pair: Pair) -> None:
    """A virtual machine that is restored goes on in the middle; what came since is old."""
    signed = pair.sign()
    pair.check(signed)
    jump_us = 3_600 * S
    word = pair.verifier.challenge(SENSOR, NOW + AHEAD_US + S)
    answer = pair.sign(NOW + jump_us, in_reply_to=word or "")
    assert pair.verifier.meet(answer, NOW + AHEAD_US + S + 1000) is True
    assert pair.reason(signed, NOW + 2 * S) == "stale"
    pair.verifier.check(pair.sign(NOW + jump_us + S), NOW + AHEAD_US + 2 * S)


def test_it_is_asked_again_sooner_after_a_slow_answer(honeynet: Settings) -> None:
    pair = Pair(honeynet)
    assert not pair.verifier.due(SENSOR, NOW + AHEAD_US)
    assert pair.verifier.due(SENSOR, NOW + AHEAD_US + signing.ACQUAINTED_US)
    assert pair.meet(NOW, took_us=3 * S) is False
    assert pair.verifier.due(SENSOR, NOW + AHEAD_US + 11 * S)
    assert not pair.verifier.due("reaction.gw1@honeynet.test", NOW)


def test_expired_is_refused(pair: Pair) -> None:
    late = pair.signer.sign(message(), NOW, left_us=2 * S)
    assert pair.reason(late, NOW + 3 * S) == "expired"
    pair.check(late, NOW + S)


def test_ages_count_what_a_message_waited(pair: Pair) -> None:
    signed = pair.signer.sign(message(), NOW, waited_us=90 * S)
    pair.check(signed, NOW + S)
    assert pair.verifier.age_us(signed, NOW + AHEAD_US + S) == pytest.approx(91 * S, abs=3_000)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    delays=st.lists(st.integers(1, 50_000_000), min_size=1, max_size=12),
    restarts=st.sets(st.integers(0, 11)),
    meetings=st.sets(st.integers(0, 11)),
)
def test_no_replay_at_any_later_time(
    honeynet: Settings, delays: list[int], restarts: set[int], meetings: set[int]
) -> None:
    """However traffic is spread, whoever restarts with whatever clock, and with room for three
    messages only, nothing is accepted twice."""
    limit, signing.MAX_REMEMBERED = signing.MAX_REMEMBERED, 3
    try:
        pair, now, sent = Pair(honeynet), NOW, []
        for number, delay in enumerate(delays):
            now += delay
            if number in restarts and number % 2:
                pair.restart_sender(now, WALL_US - number * 3_600 * S)
            elif number in restarts:
                pair.verifier = Verifier(ANALYZER, pair.identity.keyring)
            if number in restarts or number in meetings:
                now += S
                pair.meet(now)
                now += S
            signed = pair.sign(now)
            pair.check(signed, now)
            sent.append(signed)
            for old in sent:
                assert pair.reason(old, now) in ("replay", "stale", "unmet")
    finally:
        signing.MAX_REMEMBERED = limit


def test_one_senders_flood_does_not_silence_another(
    honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stolen key signs many messages ahead of time; the memory of the others is not touched."""
    monkeypatch.setattr(signing, "MAX_REMEMBERED", 5)
    pair, thief = Pair(honeynet), Pair(honeynet, "reaction")
    thief.verifier = pair.verifier
    thief.meet(NOW - 40 * S)
    for number in range(20):
        pair.verifier.check(thief.sign(NOW + 20 * S, reply_with=f"m{number}"), NOW + AHEAD_US)
    pair.check(pair.sign())


@pytest.mark.parametrize("takes_us", [100_000, 700_000, 3 * S, 19 * S])
def test_it_gets_acquainted_however_long_an_answer_takes(honeynet: Settings, takes_us: int) -> None:
    """On a busy host an answer takes longer than it takes until we ask again."""
    pair = Pair(honeynet)
    pair.restart_sender(NOW)
    asked: list[tuple[int, str]] = []
    met = False
    for now_us in range(NOW, NOW + 40 * S, 500_000):
        word = pair.verifier.challenge(SENSOR, now_us + AHEAD_US)
        if word is not None:
            asked.append((now_us, word))
        while asked and asked[0][0] + takes_us <= now_us and not met:
            answer = pair.sign(now_us, in_reply_to=asked.pop(0)[1])
            met = pair.verifier.meet(answer, now_us + AHEAD_US)
    assert met
    assert len(pair.verifier._challenges[SENSOR]) <= CHALLENGE_LIMIT_US // 500_000 + 1


def test_an_answer_that_was_held_back_does_not_bring_a_session_back(pair: Pair) -> None:
    """Two words are open; the old process answers the later one, the new process the earlier one,
    which arrives first. What the old one said since its answer was taken, and stays so."""
    early = pair.verifier.challenge(SENSOR, NOW + AHEAD_US)
    later = pair.verifier.challenge(SENSOR, NOW + AHEAD_US + S)
    held = pair.sign(NOW + S, in_reply_to=later)
    taken = pair.sign(NOW + 2 * S)
    pair.check(taken, NOW + 2 * S)
    pair.restart_sender(NOW + 3 * S)
    assert pair.verifier.meet(pair.sign(NOW + 3 * S, in_reply_to=early), NOW + AHEAD_US + 3 * S)
    with pytest.raises(Refused, match="that is over"):
        pair.verifier.meet(held, NOW + AHEAD_US + 4 * S)
    assert pair.reason(taken, NOW + 4 * S) == "unmet"
    pair.check(pair.sign(NOW + 5 * S), NOW + 5 * S)
