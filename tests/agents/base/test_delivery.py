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

from agents.base.delivery import ACK_BATCH, ACK_DELAY_S, PROTOCOL, Delivery
from agents.base.outbox import Seen, open_mail
from agents.messages.acl import AclMessage, from_metadata, to_metadata
from agents.settings.honeynet import Settings
from agents.trust.identity import Refused, load_identity
from ontology.records import OntologyChanged, Subscription

START_US = 1_700_000_000_000_000
ONTOLOGY, ANALYZER = "ontology.gw1@honeynet.test", "analyzer.gw1@honeynet.test"


class Side:
    """One agent: its mail, what it put on the wire, what it handled."""

    def __init__(self, honeynet: Settings, role: str, path: Path, stack: ExitStack) -> None:
        self._honeynet, self._role, self._path, self._stack = honeynet, role, path, stack
        self.wire: list[AclMessage] = []
        self.handled: list[str] = []
        self.start(0.0)

    def start(self, now: float) -> None:
        """Begin with what is on disk, as after a crash."""
        mail = self._stack.enter_context(closing(open_mail(self._path)))
        self.counters: Counter[str] = Counter()
        self.delivery = Delivery(
            load_identity(self._honeynet, self._role, "gw1"),
            mail,
            self.counters,
            lambda message, _to: self.wire.append(message),
            started_us=us(now) - 1,
        )

    def arrives(self, message: AclMessage, now: float) -> None:
        message = from_metadata(to_metadata(message), message.content)
        try:
            if message.protocol == PROTOCOL:
                self.delivery.on_notice(message, us(now))
                return
            received = self.delivery.receive(message, us(now), now)
        except Refused as e:
            if message.protocol != PROTOCOL:
                self.delivery.refuse(message, e, us(now), now)
            return
        if received is not None:
            self.handled.append(message.reply_with)
            self.delivery.handled(message, now)


def us(now: float) -> int:
    return START_US + int(now * 1e6)


@pytest.fixture
def sides(honeynet: Settings, tmp_path: Path) -> Iterator[tuple[Side, Side]]:
    with ExitStack() as stack:
        yield (
            Side(honeynet, "ontology", tmp_path / "a", stack),
            Side(honeynet, "analyzer", tmp_path / "b", stack),
        )


def post(side: Side, number: int = 0) -> str:
    record = OntologyChanged(id=f"urn:uuid:{number}", version="1", changed_us=0)
    message = side.delivery.compose(ANALYZER, "inform", [record], protocol="fipa-subscribe")
    side.delivery.post(message, [record])
    return message.reply_with


def test_handled_then_acknowledged_then_forgotten(sides: tuple[Side, Side]) -> None:
    sender, receiver = sides
    key = post(sender)
    sender.delivery.pump(us(1), 1.0)
    receiver.arrives(sender.wire.pop(), 1.0)
    assert receiver.handled == [key] and receiver.wire == []
    receiver.delivery.flush(us(1.0), 1.0 + ACK_DELAY_S)
    sender.arrives(receiver.wire.pop(), 1.1)
    assert sender.delivery.pending == 0


def test_acknowledgements_travel_together(sides: tuple[Side, Side]) -> None:
    sender, receiver = sides
    for number in range(ACK_BATCH * 2 + 5):
        post(sender, number)
    sender.delivery.pump(us(1), 1.0)
    for message in sender.wire:
        receiver.arrives(message, 1.0)
    receiver.delivery.flush(us(1), 1.0)  # a full batch doesn't wait
    assert [len(m.in_reply_to.split()) for m in receiver.wire] == [ACK_BATCH, ACK_BATCH, 5]


def test_redelivered_after_a_crash_is_acknowledged_but_not_handled(
    sides: tuple[Side, Side],
) -> None:
    sender, receiver = sides
    key = post(sender)
    sender.delivery.pump(us(1), 1.0)
    receiver.arrives(sender.wire.pop(), 1.0)
    receiver.start(2.0)  # the acknowledgement died with it
    sender.delivery.pump(us(3.1), 3.1)
    receiver.arrives(sender.wire.pop(), 3.1)
    assert receiver.handled == [key] and receiver.counters["duplicates"] == 1
    receiver.delivery.flush(us(3.1), 3.1, force=True)
    sender.arrives(receiver.wire.pop(), 3.2)
    assert sender.delivery.pending == 0


def test_what_a_handler_said_and_that_it_is_done_are_stored_together(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    sender, receiver = sides
    key = post(sender)
    sender.delivery.pump(us(1), 1.0)
    received = receiver.delivery.receive(sender.wire.pop(), us(1), 1.0)
    assert received is not None
    record = Subscription(id="urn:uuid:1", topic="Alert")
    answer = receiver.delivery.compose(ONTOLOGY, "agree", [record], protocol="fipa-subscribe")
    said = [(answer, (record,))]

    with monkeypatch.context() as broken:
        # The last step fails, as when the disk is full; a SIGKILL leaves the same on disk.
        broken.setattr(Seen, "add", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            receiver.delivery.commit(said, received.message, 1.0)
    assert receiver.delivery.pending == 0
    receiver.start(2.0)
    assert receiver.delivery.pending == 0

    sender.delivery.pump(us(3.1), 3.1)
    again = receiver.delivery.receive(sender.wire.pop(), us(3.1), 3.1)
    assert again is not None and again.message.reply_with == key
    receiver.delivery.commit(said, again.message, 3.1)
    receiver.start(4.0)
    assert receiver.delivery.pending == 1
    sender.delivery.pump(us(8), 8.0)
    assert receiver.delivery.receive(sender.wire.pop(), us(8), 8.0) is None


def test_every_copy_is_signed_anew(sides: tuple[Side, Side]) -> None:
    sender, _ = sides
    post(sender)
    for now in (1.0, 3.0, 7.0):
        sender.delivery.pump(us(now), now)
    first, second, third = sender.wire
    assert first.key == second.key == third.key
    assert len({m.nonce for m in sender.wire}) == len({m.signature for m in sender.wire}) == 3


def test_the_return_of_a_receiver_makes_its_mail_due(sides: tuple[Side, Side]) -> None:
    sender, receiver = sides
    key = post(sender)
    for now in (1.0, 3.0, 7.0, 15.0):
        sender.delivery.pump(us(now), now)
    sender.wire.clear()
    receiver.start(16.0)
    receiver.delivery.link_started(us(16.0))
    [hello] = [m for m in receiver.wire if m.receivers == (ONTOLOGY,)]
    assert sender.delivery.pump(us(16.1), 16.1) == 0
    sender.arrives(hello, 16.2)
    assert sender.delivery.pump(us(16.2), 16.2) == 1
    receiver.arrives(sender.wire.pop(), 16.2)
    assert receiver.handled == [key]


def test_a_stale_copy_is_repeated_and_a_forbidden_one_given_up(sides: tuple[Side, Side]) -> None:
    sender, receiver = sides
    post(sender)
    sender.delivery.pump(us(1), 1.0)
    receiver.arrives(sender.wire.pop(), 60.0)
    sender.arrives(receiver.wire.pop(), 60.1)
    assert sender.delivery.pending == 1 and receiver.counters["refused_stale"] == 1
    # An ontology agent may not send an analyzer alerts it never asked for; here: a subscription
    # with the wrong performative.
    record = Subscription(id="urn:uuid:9", topic="Alert")
    message = sender.delivery.compose(ANALYZER, "request", [record], protocol="fipa-request")
    sender.delivery.post(message, [record])
    sender.delivery.pump(us(61), 61.0)
    for each in sender.wire:
        receiver.arrives(each, 61.0)
    for each in receiver.wire:
        sender.arrives(each, 61.1)
    assert sender.delivery.refused_by_peer == [(ANALYZER, message.reply_with, "role")]


def test_only_the_receiver_can_acknowledge(honeynet: Settings, sides: tuple[Side, Side]) -> None:
    sender, _ = sides
    key = post(sender)
    with ExitStack() as stack:
        other = Side(honeynet, "reaction", honeynet.state_dir / "c", stack)
        other.delivery._notice(ONTOLOGY, "confirm", key, "handled", us(1))
        sender.arrives(other.wire.pop(), 1.0)
    assert sender.delivery.pending == 1


def test_expired_mail_is_not_sent(sides: tuple[Side, Side]) -> None:
    sender, _ = sides
    record = OntologyChanged(id="urn:uuid:1", version="1", changed_us=0)
    message = sender.delivery.compose(
        ANALYZER, "inform", [record], protocol="p", reply_by_us=us(5.0)
    )
    sender.delivery.post(message, [record])
    sender.delivery.pump(us(6.0), 6.0)
    assert (sender.wire, sender.delivery.pending) == ([], 0)
    assert sender.counters["outbox_expired"] == 1


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 40), loss=st.floats(0.0, 0.8))
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
        sender = Side(honeynet, "ontology", directory / "a", stack)
        receiver = Side(honeynet, "analyzer", directory / "b", stack)
        keys = [post(sender, number) for number in range(count)]
        now = 0.0
        while sender.delivery.pending:
            now += 1.0
            assert now < 5000
            if chance.random() < 0.1 and now < 100:
                chance.choice((sender, receiver)).start(now - 0.5)
            sender.delivery.pump(us(now), now)
            receiver.delivery.flush(us(now), now, force=True)
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
        for reply_to in ("nobody@honeynet.test", ONTOLOGY):
            ontology.delivery.send_once(replace(question, reply_to=(reply_to,)), us(1.0))
            analyzer.arrives(ontology.wire.pop(), 1.0)
        assert analyzer.counters["refused_content"] == 1
        assert len(analyzer.handled) == 1
