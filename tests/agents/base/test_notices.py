"""What two message layers say to each other, one side alone; both together in test_delivery."""

from __future__ import annotations

from collections import Counter

import pytest

from agents.base.notices import (
    ACK_BATCH,
    ACK_DELAY_S,
    ANSWERS_PER_S,
    ASK,
    ONLINE,
    PROTOCOL,
    TELL,
    Notices,
)
from agents.clock import ClockReading
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Settings
from agents.trust.identity import Refused, load_identity
from agents.trust.signing import Signer, Verifier

OWN, PEER = "analyzer.gw1@honeynet.test", "sensor.gw1@honeynet.test"


def at(now: float) -> ClockReading:
    return ClockReading("one", now, 0)


class Side:
    def __init__(self, honeynet: Settings) -> None:
        self.identity = load_identity(honeynet, "sensor", "gw1")
        self.said: list[AclMessage] = []
        self.there = True
        self.counters: Counter[str] = Counter()
        self.notices = Notices(
            OWN,
            Verifier(OWN, self.identity.keyring),
            lambda message, _now: self.said.append(message),
            self.counters,
            lambda _peer: self.there,
        )

    def challenge(self, word: str = "word") -> AclMessage:
        signer = Signer(self.identity.key, wall_us=0, steady_us=0)
        unsigned = AclMessage(
            performative=ASK,
            sender=PEER,
            receivers=(OWN,),
            content="session",
            protocol=PROTOCOL,
            conversation_id="delivery",
            reply_with=word,
        )
        return signer.sign(unsigned, 1)


@pytest.fixture
def side(honeynet: Settings) -> Side:
    return Side(honeynet)


def handled(number: int) -> AclMessage:
    return AclMessage(
        performative="inform",
        sender=PEER,
        receivers=(OWN,),
        conversation_id="c",
        reply_with=f"m{number}",
    )


def test_acknowledgements_wait_for_company_and_for_a_link(side: Side) -> None:
    notices = side.notices
    side.there = False
    notices.acknowledge(handled(1), 1.0)
    assert notices.due_s == 1.0 + ACK_DELAY_S
    notices.flush(at(1.0))
    notices.flush(at(2.0))
    assert side.said == []
    side.there = True
    notices.hurry()
    notices.flush(at(2.1))
    assert [(m.performative, m.in_reply_to) for m in side.said] == [("confirm", "m1")]
    assert notices.due_s is None
    for number in range(ACK_BATCH + 1):
        notices.acknowledge(handled(number), 3.0)
    notices.flush(at(3.0))
    assert [len(m.in_reply_to.split()) for m in side.said[1:]] == [ACK_BATCH, 1]


def test_refusals_are_few_and_for_peers_alone(side: Side) -> None:
    for _ in range(50):
        side.notices.refuse(PEER, "m", "role", at(1.0))
    side.notices.refuse("nobody@honeynet.test", "m", "role", at(1.0))
    assert len(side.said) == ANSWERS_PER_S
    assert side.counters["refusals_unanswered"] == 41
    side.notices.refuse(PEER, "m", "content", at(2.0))
    assert (side.said[-1].performative, side.said[-1].content) == ("not-understood", "content")


def test_a_challenge_is_answered_with_its_word_and_one_of_our_own(side: Side) -> None:
    side.notices.tell(side.challenge(), at(1.0))
    [answer] = side.said
    assert (answer.performative, answer.in_reply_to, answer.receivers) == (TELL, "word", (PEER,))
    assert answer.reply_with, "we don't know that session either"
    side.notices.tell(side.challenge(), at(1.1))
    assert side.said[-1].reply_with == "", "it was asked a moment ago"


def test_neither_refusals_nor_challenges_use_up_what_the_other_needs(side: Side) -> None:
    for _ in range(50):
        side.notices.refuse(PEER, "m", "role", at(1.0))
    side.notices.tell(side.challenge(), at(1.0))
    assert side.said[-1].performative == TELL
    for _ in range(50):
        side.notices.tell(side.challenge(), at(5.0))
    side.notices.refuse(PEER, "m", "role", at(5.0))
    assert side.said[-1].performative == "refuse"


def test_a_forged_challenge_is_not_answered(side: Side, honeynet: Settings) -> None:
    side.identity = load_identity(honeynet, "reaction", "gw1")  # the wrong key
    with pytest.raises(Refused, match="bad-signature"):
        side.notices.tell(side.challenge(), at(1.0))
    assert side.said == []


def test_a_peer_is_asked_once_in_a_while(side: Side) -> None:
    for now in (1.0, 1.1, 1.2, 2.0):
        side.notices.ask(PEER, at(now))
    side.notices.ask("nobody@honeynet.test", at(3.0))
    assert [m.performative for m in side.said] == [ASK, ASK]
    assert len({m.reply_with for m in side.said}) == 2
    side.notices.online(PEER, at(4.0))
    assert side.said[-1].content == ONLINE
