"""Delivery without a network: two agents joined by a wire that loses, repeats and reorders."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.base.delivery import Delivery
from agents.base.notices import ACK_BATCH, ACK_DELAY_S, ANSWERS_PER_S, ASK, ONLINE, PROTOCOL, TELL
from agents.base.outbox import Seen, open_mail
from agents.clock import ClockReading
from agents.messages.acl import AclMessage, from_metadata, to_metadata
from agents.settings.honeynet import Settings
from agents.trust.identity import Refused, load_identity
from ontology.records import OntologyChanged, Subscription

START_US = 1_700_000_000_000_000
ONTOLOGY, ANALYZER = "ontology.gw1@honeynet.test", "analyzer.gw1@honeynet.test"


class Side:
    """One agent: its mail, what it put on the wire, what it handled.

    Its clocks have nothing to do with those of the others.
    """

    def __init__(
        self,
        honeynet: Settings,
        role: str,
        path: Path,
        stack: ExitStack,
        *,
        wall_s: float = 0.0,
        booted_s: float = 0.0,
    ) -> None:
        self._honeynet, self._role, self._path, self._stack = honeynet, role, path, stack
        self.wall_s, self.booted_s, self.boot = wall_s, booted_s, "first"
        self.wire: list[AclMessage] = []
        self.handled: list[str] = []
        self.ages: list[float] = []
        self.start(0.0)

    def at(self, now: float) -> ClockReading:
        """What its clocks say."""
        wall_us = START_US + int((now + self.wall_s) * 1e6)
        return ClockReading(self.boot, now + self.booted_s, wall_us)

    def start(self, now: float) -> None:
        """Begin with what is on disk, as after a crash."""
        mail = self._stack.enter_context(closing(open_mail(self._path)))
        self.counters: Counter[str] = Counter()
        self.delivery = Delivery(
            load_identity(self._honeynet, self._role, "gw1"),
            mail,
            self.counters,
            lambda message, _to: self.wire.append(message),
            started=self.at(now),
        )

    def pump(self, now: float) -> int:
        return self.delivery.pump(self.at(now))

    def flush(self, now: float, *, force: bool = False) -> None:
        self.delivery.flush(self.at(now), force=force)

    def arrives(self, message: AclMessage, now: float) -> None:
        message = from_metadata(to_metadata(message), message.content)
        at = self.at(now)
        try:
            if message.protocol == PROTOCOL:
                self.delivery.on_notice(message, at)
                return
            received = self.delivery.receive(message, at, at)
        except Refused as e:
            if message.protocol != PROTOCOL:
                self.delivery.refuse(message, e, at)
            return
        if received is not None:
            self.handled.append(message.reply_with)
            self.ages.append(received.age_s)
            self.delivery.handled(message, at)


def acquaint(one: Side, other: Side, now: float) -> None:
    """As when a link between them begins."""
    one.delivery.link_started(one.at(now), [other.delivery._own])
    talk(one, other, now)


def talk(one: Side, other: Side, now: float) -> None:
    """Until neither has more to say."""
    while one.wire or other.wire:
        for speaker, listener in ((one, other), (other, one)):
            said, speaker.wire[:] = list(speaker.wire), []
            for message in said:
                listener.arrives(message, now)


@pytest.fixture
def sides(honeynet: Settings, tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    """Two that know each other, on hosts whose clocks are a month apart."""
    with ExitStack() as stack:
        sender = Side(honeynet, "ontology", tmp_path / "a", stack, booted_s=5_000.0)
        receiver = Side(honeynet, "analyzer", tmp_path / "b", stack, wall_s=-30 * 86_400.0)
        acquaint(sender, receiver, 0.5)
        yield sender, receiver


def post(side: Side, number: int = 0) -> str:
    record = OntologyChanged(id=f"urn:uuid:{number}", version="1", changed_us=0)
    message = side.delivery.compose(ANALYZER, "inform", [record], protocol="fipa-subscribe")
    side.delivery.post(message, [record], side.at(0.6))
    return message.reply_with


def test_handled_then_acknowledged_then_forgotten(sides: tuple[Side, Side]) -> None:
    sender, receiver = sides
    key = post(sender)
    sender.pump(1)
    receiver.arrives(sender.wire.pop(), 1.0)
    assert receiver.handled == [key] and receiver.wire == []
    receiver.flush(1.0 + ACK_DELAY_S)
    sender.arrives(receiver.wire.pop(), 1.1)
    assert sender.delivery.pending == 0


def test_acknowledgements_travel_together(sides: tuple[Side, Side]) -> None:
    sender, receiver = sides
    for number in range(ACK_BATCH * 2 + 5):
        post(sender, number)
    sender.pump(1)
    for message in sender.wire:
        receiver.arrives(message, 1.0)
    receiver.flush(1.0)  # a full batch doesn't wait
    assert [len(m.in_reply_to.split()) for m in receiver.wire] == [ACK_BATCH, ACK_BATCH, 5]


def test_redelivered_after_a_crash_is_acknowledged_but_not_handled(
    sides: tuple[Side, Side],
) -> None:
    sender, receiver = sides
    key = post(sender)
    sender.pump(1)
    receiver.arrives(sender.wire.pop(), 1.0)
    receiver.start(2.0)  # the acknowledgement died with it
    sender.pump(3.1)
    talk(sender, receiver, 3.1)
    assert receiver.handled == [key] and receiver.counters["unmet"] == 1
    assert sender.pump(3.2) == 1, "due again at once: the receiver said that it is back"
    receiver.arrives(sender.wire.pop(), 3.2)
    assert receiver.handled == [key] and receiver.counters["duplicates"] == 1
    receiver.flush(3.1, force=True)
    sender.arrives(receiver.wire.pop(), 3.2)
    assert sender.delivery.pending == 0


def test_what_a_handler_said_and_that_it_is_done_are_stored_together(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, receiver = sides
    key = post(sender)
    sender.pump(1)
    received = receiver.delivery.receive(sender.wire.pop(), receiver.at(1.0), receiver.at(1.0))
    assert received is not None
    record = Subscription(id="urn:uuid:1", topic="Alert")
    answer = receiver.delivery.compose(ONTOLOGY, "agree", [record], protocol="fipa-subscribe")
    said = [(answer, (record,), None)]

    with monkeypatch.context() as broken:
        # The last step fails, as when the disk is full; a SIGKILL leaves the same on disk.
        broken.setattr(Seen, "add", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            receiver.delivery.commit(said, received.message, receiver.at(1.0))
    assert receiver.delivery.pending == 0
    receiver.start(2.0)
    assert receiver.delivery.pending == 0

    acquaint(sender, receiver, 2.5)
    sender.pump(3.1)
    again = receiver.delivery.receive(sender.wire.pop(), receiver.at(3.1), receiver.at(3.1))
    assert again is not None and again.message.reply_with == key
    receiver.delivery.commit(said, again.message, receiver.at(3.1))
    receiver.start(4.0)
    assert receiver.delivery.pending == 1
    acquaint(sender, receiver, 5.0)
    sender.pump(8)
    assert receiver.delivery.receive(sender.wire.pop(), receiver.at(8), receiver.at(8)) is None


def test_every_copy_is_signed_anew(sides: tuple[Side, Side]) -> None:
    sender, _ = sides
    post(sender)
    for now in (1.0, 3.0, 7.0):
        sender.pump(now)
    first, second, third = sender.wire
    assert first.key == second.key == third.key
    assert len({m.sent_us for m in sender.wire}) == len({m.signature for m in sender.wire}) == 3
    assert len({m.session for m in sender.wire}) == 1
    assert [m.waited_ms for m in sender.wire] == [400, 2_400, 6_400]


def test_the_return_of_a_receiver_makes_its_mail_due(sides: tuple[Side, Side]) -> None:
    sender, receiver = sides
    key = post(sender)
    for now in (1.0, 3.0, 7.0, 15.0):
        sender.pump(now)
    sender.wire.clear()
    receiver.start(16.0)
    receiver.delivery.link_started(receiver.at(16.0))
    hello = [m for m in receiver.wire if m.receivers == (ONTOLOGY,)]
    assert sender.pump(16.1) == 0
    receiver.wire[:] = hello
    talk(sender, receiver, 16.2)
    assert sender.pump(16.2) == 1
    receiver.arrives(sender.wire.pop(), 16.2)
    assert receiver.handled == [key]


def test_one_that_is_back_and_waited_for_by_nobody_is_not_asked(sides: tuple[Side, Side]) -> None:
    """In a large honeynet each greets each; only who has something for another asks it."""
    sender, receiver = sides
    receiver.start(16.0)
    receiver.delivery.link_started(receiver.at(16.0))
    for hello in [m for m in receiver.wire if m.receivers == (ONTOLOGY,)]:
        sender.arrives(hello, 16.2)
    assert sender.wire == []


def test_a_stale_copy_is_repeated_and_a_forbidden_one_given_up(sides: tuple[Side, Side]) -> None:
    sender, receiver = sides
    post(sender)
    sender.pump(1)
    receiver.arrives(sender.wire.pop(), 60.0)
    talk(sender, receiver, 60.1)
    assert sender.delivery.pending == 1 and receiver.counters["refused_stale"] == 1
    # An ontology agent may not send an analyzer alerts it never asked for; here: a subscription
    # with the wrong performative.
    record = Subscription(id="urn:uuid:9", topic="Alert")
    message = sender.delivery.compose(ANALYZER, "request", [record], protocol="fipa-request")
    sender.delivery.post(message, [record], sender.at(61))
    sender.pump(61)
    talk(sender, receiver, 61.1)
    assert sender.delivery.refused_by_peer == [(ANALYZER, message.reply_with, "role")]


def test_only_the_receiver_can_acknowledge(honeynet: Settings, sides: tuple[Side, Side]) -> None:
    sender, _ = sides
    key = post(sender)
    with ExitStack() as stack:
        other = Side(honeynet, "reaction", honeynet.state_dir / "c", stack)
        acquaint(sender, other, 0.9)
        other.delivery._notices._say(ONTOLOGY, "confirm", key, "handled", other.at(1))
        sender.arrives(other.wire.pop(), 1.0)
        assert sender.counters["sessions_met"] == 2
    assert sender.delivery.pending == 1


def test_expired_mail_is_not_sent(sides: tuple[Side, Side]) -> None:
    sender, _ = sides
    record = OntologyChanged(id="urn:uuid:1", version="1", changed_us=0)
    message = sender.delivery.compose(ANALYZER, "inform", [record], protocol="p")
    sender.delivery.post(message, [record], sender.at(1.0), 4.0)
    sender.pump(4.0)
    [sent] = sender.wire
    assert sent.reply_by_us == (sent.sent_us + 1_000_000) // 1000 * 1000
    sender.wire.clear()
    sender.pump(6.0)
    assert (sender.wire, sender.delivery.pending) == ([], 0)
    assert sender.counters["outbox_expired"] == 1


@pytest.mark.parametrize("step_s", [-86_400.0, -3_600.0, 3_600.0, 30 * 86_400.0])
@pytest.mark.parametrize("who", ["sender", "receiver", "both"])
@pytest.mark.parametrize("restarted", [False, True])
def test_messages_flow_on_when_clocks_are_set(
    sides: tuple[Side, Side], step_s: float, who: str, restarted: bool
) -> None:
    """At once, and what may only be handled for a time keeps what is left of it."""
    sender, receiver = sides
    record = OntologyChanged(id="urn:uuid:1", version="1", changed_us=0)
    message = sender.delivery.compose(ANALYZER, "inform", [record], protocol="p")
    sender.delivery.post(message, [record], sender.at(1.0), 60.0)
    for side in sides:
        if who in ("both", "sender" if side is sender else "receiver"):
            side.wall_s += step_s
        if restarted:
            side.start(9.0)
    if restarted:
        acquaint(sender, receiver, 9.5)
    sender.pump(11.0)
    [sent] = [m for m in sender.wire if m.reply_with == message.reply_with]
    assert sent.waited_ms == 10_000 and sent.reply_by_us is not None
    assert sent.reply_by_us - sent.sent_us == pytest.approx(50_000_000, abs=1000)
    talk(sender, receiver, 11.0)
    assert receiver.handled == [message.reply_with]
    assert receiver.ages == [pytest.approx(10.0, abs=0.01)]
    receiver.flush(12.0)
    talk(sender, receiver, 12.0)
    assert sender.delivery.pending == 0


def test_after_a_boot_a_month_behind_what_was_stored_is_no_younger_than_the_boot(
    sides: tuple[Side, Side],
) -> None:
    sender, receiver = sides
    key = post(sender)
    sender.boot, sender.booted_s, sender.wall_s = "second", -90.0, -30 * 86_400.0
    sender.start(100.0)
    acquaint(sender, receiver, 100.5)
    sender.pump(101.0)
    talk(sender, receiver, 101.0)
    assert receiver.handled == [key] and receiver.ages == [pytest.approx(11.0, abs=0.1)]


def test_a_recorded_message_is_refused_whatever_is_done_to_clocks_and_processes(
    sides: tuple[Side, Side],
) -> None:
    """Each in its turn: at once, after steps of either clock, after a restart of either side,
    after acquaintance was made anew, and each of them once more at the end."""
    sender, receiver = sides
    recorded: list[AclMessage] = []

    def traffic(now: float) -> None:
        post(sender, int(now))
        sender.pump(now)
        recorded.extend(m for m in sender.wire if m.protocol != PROTOCOL)
        talk(sender, receiver, now)
        receiver.flush(now + 1)
        talk(sender, receiver, now + 1)
        assert sender.delivery.pending == 0

    def replay(now: float) -> None:
        handled = len(receiver.handled)
        before = receiver.counters["received"]
        for old in recorded:
            receiver.arrives(old, now)
            sender.wire.clear()
            receiver.wire.clear()
        assert len(receiver.handled) == handled
        assert receiver.counters["received"] == before, "not even as a duplicate"

    traffic(1.0)
    replay(2.5)
    for number, wall_s in enumerate((-86_400.0, 3_600.0, -30 * 86_400.0)):
        sender.wall_s, receiver.wall_s = wall_s, -wall_s
        replay(3.0 + number)
    traffic(10.0)
    replay(12.0)
    receiver.start(13.0)
    replay(13.1)
    acquaint(sender, receiver, 14.0)
    replay(14.1)
    traffic(15.0)
    sender.start(17.0)
    replay(17.5)
    acquaint(sender, receiver, 18.0)
    replay(18.1)
    traffic(19.0)
    for later in (21.0, 60.0, 10_000.0):
        replay(later)


def test_recorded_notices_do_nothing(sides: tuple[Side, Side]) -> None:
    """A challenge is answered, to the one who is said to have asked; an answer is nobody's."""
    sender, receiver = sides
    sender.start(2.0)
    sender.delivery.link_started(sender.at(2.0), [ANALYZER])
    said = list(sender.wire)
    answered: list[AclMessage] = []
    for message in said:
        receiver.arrives(message, 2.1)
    answered += receiver.wire
    talk(sender, receiver, 2.2)
    met = receiver.counters["sessions_met"], sender.counters["sessions_met"]
    sender.start(5.0)
    for again in (*said, *answered):
        (sender if again.receivers == (ONTOLOGY,) else receiver).arrives(again, 5.1)
    assert sender.counters["sessions_met"] == 0 and receiver.counters["sessions_met"] == met[0]
    assert {m.performative for m in receiver.wire} <= {TELL, ASK}
    assert all(m.receivers == (ONTOLOGY,) for m in receiver.wire)
    assert {m.content for m in said} >= {ONLINE}


def test_challenges_are_answered_at_a_rate(sides: tuple[Side, Side]) -> None:
    """Who has recorded one can't make us sign for ever."""
    sender, receiver = sides
    sender.delivery._notices.ask(ANALYZER, sender.at(3.0))
    [challenge] = sender.wire
    for _ in range(100):
        receiver.arrives(challenge, 3.1)
    assert 1 <= len(receiver.wire) <= ANSWERS_PER_S
    assert receiver.counters["challenges_unanswered"] >= 100 - ANSWERS_PER_S


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 40), loss=st.floats(0.0, 0.7))
def test_exactly_once_over_a_bad_wire(
    honeynet: Settings,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    count: int,
    loss: float,
) -> None:
    """Losses, copies, disorder and crashes of both sides: each message is handled exactly once."""
    chance = random.Random(seed)
    directory = tmp_path_factory.mktemp("wire")
    with ExitStack() as stack:
        sender = Side(honeynet, "ontology", directory / "a", stack, wall_s=chance.gauss(0, 1e6))
        receiver = Side(honeynet, "analyzer", directory / "b", stack, booted_s=1e6)
        keys = [post(sender, number) for number in range(count)]
        now = 0.0
        while sender.delivery.pending:
            now += 1.0
            assert now < 20_000
            if chance.random() < 0.1 and now < 100:
                side = chance.choice((sender, receiver))
                side.wall_s += chance.choice((0.0, -3_600.0, 86_400.0))
                side.start(now - 0.5)
            sender.pump(now)
            receiver.flush(now, force=True)
            for one, other in ((sender, receiver), (receiver, sender)):
                copies = [m for m in one.wire for _ in range(chance.randint(1, 2))]
                chance.shuffle(copies)
                one.wire.clear()
                for message in copies:
                    if chance.random() >= loss:
                        other.arrives(message, now)
        assert sorted(receiver.handled) == sorted(keys)


def test_an_answer_can_not_be_sent_to_a_stranger(honeynet: Settings, tmp_path: Path) -> None:
    """It would never be acknowledged, and enough of them would fill the receiver's outbox."""
    with ExitStack() as stack:
        ontology = Side(honeynet, "ontology", tmp_path / "o", stack)
        analyzer = Side(honeynet, "analyzer", tmp_path / "a", stack)
        question = ontology.delivery.compose(
            ANALYZER, "subscribe", (Subscription(id="urn:uuid:1", topic="Alert"),), protocol="x"
        )
        acquaint(ontology, analyzer, 0.5)
        for reply_to in ("nobody@honeynet.test", ONTOLOGY):
            ontology.delivery.send_once(replace(question, reply_to=(reply_to,)), ontology.at(1.0))
            analyzer.arrives(ontology.wire.pop(), 1.0)
        assert analyzer.counters["refused_content"] == 1
        assert len(analyzer.handled) == 1
