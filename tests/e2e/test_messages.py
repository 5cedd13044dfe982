"""Messages between separate processes over the real servers: delivery, authorisation, survival."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from spade.message import Message

from agents.base.bus import Bus
from agents.base.notices import ASK, PROTOCOL, TELL
from agents.clock import now_us, read_clocks
from agents.messages.acl import AclMessage, to_spade
from agents.settings.honeynet import Settings
from agents.trust.identity import load_identity
from agents.trust.signing import Signer
from ontology.fragments import encode
from ontology.records import Decision


def _load(name: str) -> Any:
    # There is no __init__.py under tests/, so a helper beside the test is loaded by its path.
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


servers = _load("xmpp_servers")
pytestmark = [pytest.mark.xmpp, pytest.mark.e2e]

SUPERVISOR, REACTION = "supervisor.gw1@honeynet.test", "reaction.gw1@honeynet.test"


@pytest.fixture(scope="module", params=["prosody", "ejabberd"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    if shutil.which(servers.COMMANDS[request.param], path="/usr/bin:/usr/sbin") is None:
        pytest.skip(f"{request.param} is not installed (apt-get install {request.param})")
    made = servers.SERVERS[request.param](tmp_path_factory.mktemp(request.param))
    try:
        made.start()
        yield made
    finally:
        made.close()


class Actor:
    """A `message_actor` process (``ROLE`` on gw1, or ``ROLE.NODE``) and what it wrote down."""

    def __init__(self, server: Any, name: str, job: str) -> None:
        role, _, node = name.partition(".")
        self._journal = server.file.with_name(f"{role}-{uuid.uuid4().hex[:8]}.jsonl")
        self._command = [sys.executable, str(Path(__file__).with_name("message_actor.py"))]
        self._command += [role, node or "gw1", str(server.file), str(self._journal)]
        self._output = server.file.with_name(f"{role}.out")
        self.start(job)

    def start(self, job: str) -> None:
        with self._output.open("ab") as output:
            self.process = subprocess.Popen([*self._command, job], stdout=output, stderr=output)

    def entries(self, event: str) -> list[dict[str, Any]]:
        if not self._journal.exists():
            return []
        lines = self._journal.read_text().splitlines(keepends=True)
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [entry for entry in found if entry["event"] == event]

    def count(self, name: str) -> int:
        counters = self.entries("counters")
        return int(counters[-1].get(name, 0)) if counters else 0

    def wait(self, condition: Callable[[], object], limit_s: float = 60.0) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"not in {limit_s} s; output: {self._output.read_text()[-3000:]}")
            time.sleep(0.01)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(10)


@pytest.fixture
def act(server: Any) -> Iterator[Callable[[str, str], Actor]]:
    actors: list[Actor] = []

    def start(role: str, job: str) -> Actor:
        actors.append(Actor(server, role, job))
        return actors[-1]

    yield start
    for actor in actors:
        if actor.process.poll() is None:
            actor.process.kill()
        actor.process.wait()


def test_nothing_is_lost_or_handled_twice_when_the_server_dies(
    server: Any, act: Callable[[str, str], Actor]
) -> None:
    """500 messages, a restart of the server after 100 of them and its SIGKILL after 300."""
    collector, emitter = act("correlation", "collect"), act("analyzer.gw2", "emit:500")
    for actor in (collector, emitter):  # who comes up only after the first restart loses no link
        actor.wait(lambda actor=actor: any(e["connected"] for e in actor.entries("counters")))
    back = []
    for times, (sent, end) in enumerate(((100, server.stop), (300, server.kill)), 1):
        emitter.wait(lambda sent=sent: len(emitter.entries("sent")) >= sent)
        end()
        server.start()
        ready = time.monotonic()
        for actor in (collector, emitter):
            back.append(_back_after(actor, ready, times))
    emitter.wait(lambda: emitter.entries("acknowledged"))
    handled = [entry["key"] for entry in collector.entries("handled")]
    assert len(handled) == len(set(handled)) == 500
    assert set(handled) == {entry["id"] for entry in emitter.entries("sent")}
    assert max(back) <= 3.0, back
    assert collector.stop() == emitter.stop() == 0
    assert collector.entries("stopped")[0]["link_lost"] == 2


def _back_after(actor: Actor, ready: float, times: int) -> float:
    """Seconds from ``ready`` (the server answers again) to the actor's new session, after so many
    that it lost: one that has not yet seen the end of the last is not back."""

    def found() -> list[float]:
        notes = actor.entries("counters")
        return [e["at"] for e in notes if e["connected"] and e.get("link_lost", 0) >= times]

    actor.wait(found, 40)
    return max(0.0, found()[0] - ready)


@pytest.mark.parametrize("sender", ["analyzer.gw1", "analyzer.gw2"])
def test_nothing_is_lost_when_an_agent_is_killed(
    server: Any, act: Callable[[str, str], Actor], sender: str
) -> None:
    """SIGKILL for the receiver, then for the sender; both come back, with nothing in memory.

    Within a node over its own links, and from another one over the server.
    """
    collector, emitter = act("correlation", "collect"), act(sender, "emit:200")
    emitter.wait(lambda: len(collector.entries("handled")) >= 50)
    collector.process.kill()
    collector.process.wait()
    emitter.wait(lambda: emitter.entries("all sent"))
    emitter.process.kill()
    emitter.process.wait()
    emitter.start("emit:0")
    collector.start("collect")
    sent = {entry["id"] for entry in emitter.entries("sent")}
    emitter.wait(lambda: emitter.entries("acknowledged"), 20)
    handled = Counter(entry["key"] for entry in collector.entries("handled"))
    assert len(sent) == 200 and set(handled) == sent
    # Between a handler's effect and its commit to disk lie microseconds; one message fits in there.
    assert sum(handled.values()) <= 201


def test_a_failing_handler_gets_the_message_again(
    server: Any, act: Callable[[str, str], Actor]
) -> None:
    collector, sender = act("correlation", "collect"), act("analyzer.gw2", "trouble")
    collector.wait(lambda: any(e["about"] == "fail once" for e in collector.entries("handled")))
    sender.wait(lambda: sender.entries("refused by peer"))
    sender.wait(lambda: sender.count("pending") == 0 and sender.count("acknowledged") == 2)
    about = Counter(entry["about"] for entry in collector.entries("handled"))
    assert about == {"fail once": 1, "in order": 1}
    collector.wait(lambda: collector.count("handler_errors") == 1)
    # Twice where the sender repeated it before it heard: delivery is at least once.
    collector.wait(lambda: collector.count("refused_content") >= 1)
    assert sender.entries("refused by peer")[0]["reason"] == "content"


class Peer:
    """An agent's account, used by hand: sends what it likes and keeps what it is answered."""

    def __init__(self, settings: Settings, role: str) -> None:
        self.identity = load_identity(settings, role, "gw1")
        self.jid = self.identity.peer.jid
        self.bus = Bus(self.identity, settings, Counter())
        self.answers: list[Message] = []
        clocks = read_clocks()
        self.signer = Signer(self.identity.key, wall_us=clocks.wall_us, steady_us=clocks.steady_us)
        self.bus.on_notice = self._on_notice
        self.bus.on_mail = self._on_mail
        self.bus.on_session = lambda: None

    def _on_notice(self, message: Message) -> None:
        self.answers.append(message)
        if message.get_metadata("performative") == ASK:
            answer = self.order(
                "answer",
                performative=TELL,
                protocol=PROTOCOL,
                in_reply_to=message.get_metadata("reply-with"),
                content="session",
            )
            self.send(answer)

    async def introduce(self) -> None:
        """Become acquainted: what is said before is answered with a challenge."""
        self.send(self.order("introduction", protocol="none"))
        await until(lambda: self.told(ASK))
        await until(lambda: self.told("inform"))

    def told(self, performative: str) -> bool:
        return any(m.get_metadata("performative") == performative for m in self.answers)

    async def _on_mail(self, message: Message, _arrived: object) -> None:
        self.answers.append(message)

    def order(self, reason: str, **changes: object) -> AclMessage:
        """A Decision to block, unsigned, in this agent's name."""
        decision = Decision(
            id=f"urn:uuid:{uuid.uuid4()}",
            action="block",
            source=IPv4Address("192.0.2.66"),
            classification="Manual",
            origin="user:test",
            decided_us=now_us(),
            duration_s=60,
            reason=reason,
        )
        fields: dict[str, object] = {
            "performative": "request",
            "sender": self.jid,
            "receivers": (REACTION,),
            "content": encode([decision]),
            "protocol": "fipa-request",
            "conversation_id": f"c-{reason}",
            "reply_with": f"m-{reason}",
        }
        return AclMessage(**(fields | changes))  # type: ignore[arg-type]

    def sign(
        self, message: AclMessage, *, ago_us: int = 0, left_us: int | None = None
    ) -> AclMessage:
        return self.signer.sign(message, read_clocks().steady_us - ago_us, left_us=left_us)

    def send(self, message: AclMessage, *, left_us: int | None = None) -> AclMessage:
        signed = self.sign(message, left_us=left_us)
        self.bus.transmit(signed, REACTION)
        return signed

    def answer(self, key: str) -> Message | None:
        for message in self.answers:
            if key in (message.get_metadata("in-reply-to") or "").split(" "):
                return message
        return None


@asynccontextmanager
async def peers(settings: Settings, *roles: str) -> AsyncIterator[list[Peer]]:
    found = [Peer(settings, role) for role in roles]
    try:
        for peer in found:
            await peer.bus.start(auto_register=False)
            await asyncio.wait_for(peer.bus.session.wait(), 10)
        yield found
    finally:
        for peer in found:
            await peer.bus.hang_up()


async def until(condition: Callable[[], object], limit_s: float = 40.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  the condition is in another process
            await asyncio.sleep(0.01)


async def test_no_forged_order_is_obeyed(server: Any, act: Callable[[str, str], Actor]) -> None:
    reaction = act("reaction", "collect")
    await until(lambda: reaction.entries("started") and reaction.count("connected"))
    async with peers(server.settings, "supervisor", "sensor") as (supervisor, sensor):
        # Signed before anybody knows the session: the first that it makes, so that it is old.
        old = supervisor.sign(supervisor.order("stale"), ago_us=31_000_000)
        await supervisor.introduce()
        await sensor.introduce()
        # A real account with its own key, but the wrong role.
        sensor.send(sensor.order("wrong-role"))
        # The same in the supervisor's name: the server says who really sent it.
        lie = sensor.sign(sensor.order("wrong-name", sender=SUPERVISOR))
        stanza = to_spade(lie, REACTION)
        stanza.sender = sensor.jid  # ejabberd cuts off who forges this
        stanza.prepare(sensor.bus.client).send()
        # The supervisor's account (a stolen password) without its key.
        unsigned = supervisor.order("wrong-key")
        supervisor.bus.transmit(sensor.sign(unsigned), REACTION)
        # The right key, but the message was altered, is old, is late, comes twice.
        good = supervisor.sign(supervisor.order("altered"))
        supervisor.bus.transmit(replace(good, conversation_id="c-other"), REACTION)
        supervisor.bus.transmit(old, REACTION)
        supervisor.send(supervisor.order("expired"), left_us=-1_000_000)
        once = supervisor.send(supervisor.order("once"))
        supervisor.bus.transmit(once, REACTION)
        for content in ("}{ not turtle", "<urn:x> a <http://example.test/Unknown> .", "@prefix"):
            key = f"garbage-{len(content)}"
            supervisor.send(supervisor.order(key, content=content))
        supervisor.send(supervisor.order("other-ontology", ontology="http://example.test/o"))
        plain = to_spade(supervisor.order("no-parameters"), REACTION)
        plain._metadata.clear()
        plain.prepare(supervisor.bus.client).send()
        supervisor.send(supervisor.order("last"))
        await until(lambda: len(reaction.entries("handled")) >= 2)
        await until(lambda: supervisor.answer("m-last"))
        answers = {
            key: (answer.get_metadata("performative"), answer.body)
            for key in ("wrong-key", "altered", "stale", "expired", "garbage-13", "other-ontology")
            if (answer := supervisor.answer(f"m-{key}")) is not None
        }
        sensor_answers = {a.get_metadata("performative") for a in sensor.answers}
    assert [entry["about"] for entry in reaction.entries("handled")] == ["once", "last"]
    await until(lambda: reaction.count("handled") == 2)
    counted = {name: reaction.count(f"refused_{name}") for name in REFUSED}
    assert counted == REFUSED
    assert answers == {
        "wrong-key": ("refuse", "bad-signature"),
        "altered": ("refuse", "bad-signature"),
        "stale": ("refuse", "stale"),
        "expired": ("refuse", "expired"),
        "garbage-13": ("not-understood", "content"),
        "other-ontology": ("not-understood", "content"),
    }
    assert sensor_answers <= {"refuse", "not-understood", "inform", ASK, TELL}
    assert reaction.stop() == 0


REFUSED = {
    "role": 1,
    "unparsable": 2,
    "bad-signature": 2,
    "stale": 1,
    "expired": 1,
    "replay": 1,
    "content": 4,
}


async def test_refusals_are_never_answered_and_are_few(
    server: Any, act: Callable[[str, str], Actor]
) -> None:
    """A flood of bad messages gets at most ten answers a second, and a bad answer gets none."""
    reaction = act("reaction", "collect")
    await until(lambda: reaction.entries("started") and reaction.count("connected"))
    async with peers(server.settings, "sensor") as (sensor,):
        await sensor.introduce()
        sensor.answers.clear()
        notice = sensor.order("notice", protocol=PROTOCOL, performative="refuse", in_reply_to="m-x")
        begin = time.monotonic()
        for _ in range(20):
            sensor.bus.transmit(replace(sensor.sign(notice), session="s"), REACTION)
        await until(lambda: reaction.count("refused_bad-signature") == 20)
        # A challenge and the answer to one may come late: neither answers a message.
        assert {m.get_metadata("performative") for m in sensor.answers} <= {"inform", ASK, TELL}
        for number in range(100):
            sensor.send(sensor.order(f"flood-{number}"))
        await until(lambda: reaction.count("refused_role") == 100)
        lasted = time.monotonic() - begin
        refusals = [m for m in sensor.answers if m.get_metadata("performative") == "refuse"]
        assert 1 <= len(refusals) <= 10 * (1 + lasted)
        assert reaction.count("refusals_unanswered") >= 100 - 10 * (1 + lasted) - 1
    reaction.process.send_signal(signal.SIGINT)
    assert reaction.process.wait(10) == 0
