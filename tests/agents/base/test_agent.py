"""The agent's frame over a real server and over local links, in one process; what takes several
is in e2e."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

import agents.base.bus
from agents.base import AgentContext, BaseAgent
from agents.base.conversations import NoAnswer, RefusedByPeer
from agents.base.health import answer_pings, resident_kib
from agents.launcher.xmpp_server import XmppServer
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Settings
from ontology.records import AgentDescription, Alert, Record, Subscription

pytestmark = [
    pytest.mark.xmpp,
    pytest.mark.skipif(
        shutil.which("prosody", path="/usr/bin") is None, reason="prosody is not installed"
    ),
]


class Recorder(BaseAgent[None]):
    """Keeps what it gets; answers registrations. ``name`` is ``ROLE`` (of gw1) or ``ROLE.NODE``."""

    def __init__(self, settings: Settings, name: str) -> None:
        role, _, node = name.partition(".")
        self.role = role  # type: ignore[misc]
        super().__init__(AgentContext(settings=settings, role=role, node=node or "gw1"))
        self.got: list[Record] = []
        self.started = asyncio.Event()
        self.stopped = False

    async def on_start(self) -> None:
        self.started.set()

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        self.got += records
        if message.performative == "request":
            await self.reply(message, "inform", ())

    async def on_stop(self) -> None:
        self.stopped = True


@pytest.fixture
def server(honeynet: Settings) -> Iterator[XmppServer]:
    made = XmppServer(honeynet)
    made.start()
    assert made.ready()
    yield made
    made.stop()


@contextlib.asynccontextmanager
async def running(
    settings: Settings, *names: str, server: bool = True
) -> AsyncIterator[list[Recorder]]:
    found = [Recorder(settings, name) for name in names]
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for agent in found:
            group.create_task(agent.run())
        for agent in found:
            await agent.started.wait()
        try:
            await until(lambda: not server or all(agent.connected for agent in found))
            yield found
        finally:
            for agent in found:
                agent.stop()
    assert all(agent.stopped for agent in found)


async def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  it may depend on another process
            await asyncio.sleep(0.01)


def alert(text: str = "", by: str = "analyzer.gw1") -> Alert:
    return Alert(
        id=f"urn:uuid:{os.urandom(16).hex()}",
        classification="SynScan",
        source=IPv4Address("192.0.2.1"),
        target=IPv4Address("192.0.2.2"),
        protocol=6,
        begin_us=0,
        end_us=1,
        confidence=1.0,
        verified_source=False,
        sensor="s",
        analyzer=f"{by}@honeynet.test",
        explanation=text,
    )


CORRELATION = "correlation.gw1@honeynet.test"
REMOTE = "analyzer.gw2"
"""Its messages to agents of gw1 go over the server."""


async def test_registers_with_the_supervisor(honeynet: Settings, server: XmppServer) -> None:
    async with running(honeynet, "supervisor", "reaction") as (supervisor, reaction):
        await asyncio.wait_for(reaction.registered.wait(), 5)
        [entry] = {r for r in supervisor.got if isinstance(r, AgentDescription)}
        assert (entry.name, entry.role, entry.node) == (reaction.jid, "reaction", "gw1")
        assert entry.lease_s == 15
        assert reaction.got == []  # the answer is the frame's business


async def test_an_agent_that_cannot_start_never_registers(
    honeynet: Settings, server: XmppServer
) -> None:
    class Broken(Recorder):
        async def on_start(self) -> None:
            await asyncio.sleep(0.5)
            raise RuntimeError("no firewall here")

    async with running(honeynet, "supervisor") as (supervisor,):
        for _ in range(2):
            with pytest.raises(RuntimeError, match="no firewall"):
                await Broken(honeynet, "reaction").run()
        assert supervisor.got == []


async def test_every_task_ends_at_the_stop_also_when_there_is_news(
    honeynet: Settings, server: XmppServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(honeynet, "analyzer") as (analyzer,):
        for turns in range(5):
            pump = analyzer.spawn(analyzer._exchange.keep_sending(), name="outbox")
            await asyncio.sleep(0.05)
            analyzer._exchange.wake.set()
            for _ in range(turns):  # in one of them asyncio.wait_for forgot the cancellation
                await asyncio.sleep(0)
            pump.cancel()
            await asyncio.wait({pump}, timeout=2.0)
            assert pump.cancelled()
    assert "does not end" not in caplog.text


async def test_what_a_handler_sends_leaves_when_it_is_over(
    honeynet: Settings, server: XmppServer
) -> None:
    """What a handler sends leaves when it is over, together with the fact that it is over."""

    class Answering(Recorder):
        async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
            await self.send(CORRELATION, "inform", [alert("said")], protocol="fipa-subscribe")
            assert self.pending == 0
            self.got += records

    analyzer = Answering(honeynet, "analyzer")
    async with running(honeynet, "correlation") as (correlation,):
        task = asyncio.ensure_future(analyzer.run())
        wish = Subscription(id="urn:uuid:1", topic="Alert")
        await correlation.send(analyzer.jid, "subscribe", [wish], protocol="fipa-subscribe")
        await until(lambda: correlation.got)
        await until(lambda: analyzer.pending == correlation.pending == 0)
        analyzer.stop()
        await task
    assert [r.explanation for r in correlation.got if isinstance(r, Alert)] == ["said"]


async def test_what_handlers_use_is_closed_after_them(
    honeynet: Settings, server: XmppServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A stop waits for the handler that runs; what comes after it is kept for the next process."""

    class Slow(Recorder):
        closed = False

        async def on_start(self) -> None:
            self.at_end(self._close)
            await super().on_start()

        def _close(self) -> None:
            self.closed = True

        async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
            self.stop()
            await asyncio.sleep(0.3)
            assert not self.closed
            self.got += records

    analyzer = Slow(honeynet, "analyzer")
    async with running(honeynet, "correlation") as (correlation,):
        task = asyncio.ensure_future(analyzer.run())
        for number in range(5):
            wish = Subscription(id=f"urn:uuid:{number}", topic="Alert")
            await correlation.send(analyzer.jid, "subscribe", [wish], protocol="fipa-subscribe")
        await task
        assert analyzer.closed and len(analyzer.got) == 1
        assert correlation.pending == 4
    assert "handler failed" not in caplog.text


async def test_a_killed_behaviour_is_started_again(honeynet: Settings, server: XmppServer) -> None:
    async with running(honeynet, "analyzer", "correlation") as (analyzer, correlation):
        for behaviour in list(correlation._exchange.bus.behaviours):
            behaviour.kill()
        await analyzer.send(CORRELATION, "inform", [alert()], protocol="fipa-subscribe")
        await until(lambda: correlation.got and not analyzer.pending)
        assert correlation.counters["behaviour_restarts"] == 1
        assert len(correlation.got) == 1


async def test_messages_never_take_the_short_cut(honeynet: Settings, server: XmppServer) -> None:
    """Two agents of one process and two nodes: with the server stopped nothing arrives."""
    async with running(honeynet, REMOTE, "correlation") as (analyzer, correlation):
        server.stop()
        await until(lambda: not analyzer.connected and not correlation.connected)
        news = [alert(by=REMOTE)]
        await analyzer.send(CORRELATION, "inform", news, protocol="fipa-subscribe")
        await asyncio.sleep(0)
        assert correlation.got == [] and analyzer.pending == 1
        server.start()
        await until(lambda: correlation.got and not analyzer.pending)


@pytest.mark.parametrize("sender", ["analyzer", REMOTE])
async def test_full_inbox_drops_and_the_sender_repeats(
    honeynet: Settings, server: XmppServer, monkeypatch: pytest.MonkeyPatch, sender: str
) -> None:
    monkeypatch.setattr(agents.base.bus, "INBOX_LIMIT", 20)
    async with running(honeynet, sender, "correlation") as (analyzer, correlation):
        handle, free = correlation.on_message, asyncio.Event()

        async def busy(message: AclMessage, records: tuple[Record, ...]) -> None:
            await free.wait()
            await handle(message, records)

        monkeypatch.setattr(correlation, "on_message", busy)
        for number in range(40):
            news = [alert(str(number), by=f"analyzer.{analyzer.node}")]
            await analyzer.send(CORRELATION, "inform", news, protocol="fipa-subscribe")
        await until(lambda: correlation.counters["dropped_inbox_full"] > 0)
        free.set()
        await until(lambda: not analyzer.pending, 25)
        assert len(correlation.got) == len(set(correlation.got)) == 40


async def test_frozen_server_is_noticed_and_survived(
    honeynet: Settings, server: XmppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.base.bus, "PING_EVERY_S", 0.2)
    monkeypatch.setattr(agents.base.bus, "PING_LIMIT_S", 0.5)
    async with running(honeynet, "analyzer") as (analyzer,):
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        try:
            await until(lambda: not analyzer.connected, 5)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await until(lambda: analyzer.connected)
        assert analyzer.counters["ping_timeouts"] == 1


async def test_a_server_that_dies_during_a_ping_is_noticed_at_once(
    honeynet: Settings, server: XmppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.base.bus, "PING_EVERY_S", 0.1)
    monkeypatch.setattr(agents.base.bus, "PING_LIMIT_S", 60.0)
    async with running(honeynet, "analyzer") as (analyzer,):
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
        await asyncio.sleep(0.5)  # a ping is on its way, and no answer will come
        assert analyzer.connected
        os.kill(server.pid, signal.SIGKILL)
        await until(lambda: analyzer.counters["link_lost"], 5)
        assert analyzer.counters["ping_timeouts"] == 0


async def test_a_second_login_is_noticed(honeynet: Settings, server: XmppServer) -> None:
    """Somebody with our password takes the session: counted, logged, taken back."""
    async with running(honeynet, "analyzer") as (analyzer,):
        thief = agents.base.bus.Bus(
            agents.base.agent.load_identity(honeynet, "analyzer", "gw1"),
            honeynet,
            analyzer.counters,
        )
        thief.on_session = lambda: None
        thief.on_notice = lambda _message: None
        await thief.start(auto_register=False)
        await thief.session.wait()
        await until(lambda: analyzer.counters["stream_error_conflict"])
        await thief.hang_up()
        await until(lambda: analyzer.connected)


async def test_a_second_process_is_refused(honeynet: Settings, server: XmppServer) -> None:
    async with running(honeynet, "analyzer"):
        with pytest.raises(RuntimeError, match="already running"):
            await Recorder(honeynet, "analyzer").run()


async def test_no_server_keeps_no_agent_from_its_work(
    honeynet: Settings, new_port: Callable[[], int]
) -> None:
    """Both ways, at the start and for as long as there is none; health says why."""
    async with running(honeynet, "analyzer", "correlation", server=False) as (one, other):
        await one.send(CORRELATION, "inform", [alert("there")], protocol="fipa-subscribe")
        await until(lambda: other.got and not one.pending)
        wish = Subscription(id="urn:uuid:1", topic="Alert")
        await other.send(one.jid, "subscribe", [wish], protocol="fipa-subscribe")
        await until(lambda: one.got and not other.pending)
        await until(lambda: "Errno 111" in one.health()["server_error"])
        assert not one.health()["connected"] and one.health()["local"] == 1
        assert one.counters["link_lost"] == 0


async def test_a_disk_that_was_full_for_a_moment_ends_no_sending(
    honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(honeynet, "analyzer", "correlation", server=False) as (one, other):
        await until(lambda: one.health()["local"] and other.health()["local"])
        mail = one._exchange.delivery._mail
        monkeypatch.setattr("agents.base.storage._RETRY_LIMIT_S", 0.1)
        # SQLite's answer to every change, as that of a disk that has become read-only.
        mail._db.execute("PRAGMA query_only = ON")
        wish = Subscription(id="urn:uuid:1", topic="Alert")
        await other.send(one.jid, "subscribe", [wish], protocol="fipa-subscribe")
        await until(lambda: one.got == [wish] and other.pending == 0)  # it was acknowledged
        found = alert()
        await one.send(other.jid, "inform", [found], protocol="fipa-subscribe")
        await until(lambda: other.got == [found] and one.pending == 0)
        assert one.counters["task_errors"] == one.counters["sending_errors"] == 0
        name = str(mail.path)
        await until(lambda: not mail.in_memory)
        await until(lambda: name not in {c.name for c in one.conditions.current()})
        assert mail.execute("SELECT count(*) FROM seen").fetchone() == (1,)


async def test_foreign_ca_is_never_trusted(
    honeynet: Settings, server: XmppServer, tmp_path: Path
) -> None:
    from agents.trust.pki import ensure_authority

    ensure_authority(tmp_path)
    xmpp = honeynet.xmpp.model_copy(update={"ca": tmp_path / "ca.crt"})
    wary = honeynet.model_copy(update={"xmpp": xmpp})
    async with running(wary, "analyzer", server=False) as (analyzer,):
        await until(lambda: "certificate verify failed" in analyzer.health()["server_error"])
        assert not analyzer.connected


async def test_a_wrong_password_is_told(honeynet: Settings, server: XmppServer) -> None:
    (honeynet.state_dir / "keys" / "analyzer.gw1@honeynet.test.password").write_text("wrong")
    async with running(honeynet, "analyzer", server=False) as (analyzer,):
        await until(lambda: "password" in analyzer.health()["server_error"])
        assert not analyzer.connected and analyzer.counters["login_refused"] >= 1


async def test_periodic_work_survives_its_exceptions(
    honeynet: Settings, server: XmppServer
) -> None:
    calls = 0

    async def fail() -> None:
        nonlocal calls
        calls += 1
        raise OSError("again")

    async with running(honeynet, "analyzer") as (analyzer,):
        analyzer.every(0.01, fail, name="failing")
        await until(lambda: calls >= 3)
        assert analyzer.counters["task_errors"] >= 3


async def test_health_answers_and_a_dead_launcher_stops_the_agent() -> None:
    ours, theirs = socket.socketpair()
    gone = asyncio.Event()
    task = asyncio.ensure_future(
        answer_pings(theirs, lambda: {"rss_kib": resident_kib()}, gone.set)
    )
    reader, writer = await asyncio.open_connection(sock=ours)
    for _ in range(2):
        writer.write(b"ping\n")
        assert json.loads(await asyncio.wait_for(reader.readline(), 5))["rss_kib"] > 1000
    writer.close()
    await asyncio.wait_for(gone.wait(), 5)
    await task


def test_importing_the_frame_loads_no_bundled_server() -> None:
    code = (
        "import sys, agents.base\n"
        "assert not any(m.startswith(('sqlalchemy', 'alembic')) for m in sys.modules)\n"
        "from pyjabber.server import Server\n"
        "try: Server()\n"
        "except RuntimeError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "never used" in done.stdout


async def test_a_question_is_answered_refused_or_given_up(
    honeynet: Settings, server: XmppServer
) -> None:
    wish = Subscription(id="urn:uuid:00000000-0000-0000-0000-000000000001", topic="Alert")

    class Asked(Recorder):
        async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
            if self.got:  # the second time: not a word
                return
            self.got += records
            await self.reply(message, "agree", records)

    asked, asking = Asked(honeynet, "analyzer"), Recorder(honeynet, "correlation")
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for agent in (asked, asking):
            group.create_task(agent.run())
            await agent.started.wait()
        with pytest.raises(NoAnswer, match=r"analyzer\.gw1"):
            await asking.ask(asked.jid, "subscribe", [wish], protocol="fipa-subscribe", limit_s=0.5)
        assert asking.got == []  # the agree belongs to the question
        with pytest.raises(RefusedByPeer, match="role"):
            await asking.ask(asked.jid, "request", [wish], protocol="fipa-request", limit_s=10)
        for agent in (asked, asking):
            agent.stop()


async def test_an_agent_without_descriptors_answers_its_launcher_and_says_so(
    honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(honeynet, "analyzer", server=False) as (one,):
        assert one.health()["rss_kib"] > 0

        def exhausted() -> int:
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as patch:
            patch.setattr("agents.base.health.resident_kib", exhausted)
            assert one.health()["rss_kib"] == 0
            assert "descriptors" in {c.name for c in one.conditions.current()}
        assert one.health()["rss_kib"] > 0
        assert "descriptors" not in {c.name for c in one.conditions.current()}


class Slow(Recorder):
    """Takes a second for each message, until it is told to hurry."""

    def __init__(self, settings: Settings, name: str) -> None:
        super().__init__(settings, name)
        self.hurry = asyncio.Event()

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self.hurry.wait()
        await super().on_message(message, records)


async def test_an_agent_that_falls_behind_says_so_until_it_has_caught_up(
    honeynet: Settings,
) -> None:
    slow = Slow(honeynet, "correlation")
    async with asyncio.TaskGroup() as group:
        group.create_task(slow.run())
        async with running(honeynet, "analyzer", server=False) as (one,):
            await until(lambda: one.health()["local"] and slow.health()["local"])
            for _ in range(30):
                await one.send(CORRELATION, "inform", [alert()], protocol="fipa-subscribe")
            await until(lambda: slow.conditions.of("behind"), 12)
            held = slow.conditions.of("behind")
            assert held is not None and held.level == "degraded"
            assert held.numbers["waiting"] > 10
            assert [c["name"] for c in slow.health()["conditions"]] == ["behind"]
            slow.hurry.set()
            await until(lambda: slow.conditions.of("behind") is None)
            await until(lambda: len(slow.got) == 30)
            assert one.conditions.current() == ()
        slow.stop()


async def test_news_of_a_condition_reach_the_supervisor_before_the_next_renewal(
    honeynet: Settings,
) -> None:
    async with running(honeynet, "supervisor", "reaction", server=False) as (supervisor, one):

        def told() -> str:
            last = [r for r in supervisor.got if isinstance(r, AgentDescription)]
            return last[-1].conditions if last else "nothing yet"

        await until(lambda: told() == "")
        for reason in ("the table is gone", "and now it is another one"):
            await asyncio.to_thread(one.conditions.fault, "firewall", reason, lost=3)
            await until(lambda r=reason: r in told(), 2.5)
        await asyncio.to_thread(one.conditions.clear, "firewall")
        await until(lambda: told() == "", 2.5)


@pytest.mark.parametrize("name", ["refused_stale", "outbox_dropped", "task_errors"])
async def test_a_loss_is_told_within_seconds(honeynet: Settings, name: str) -> None:
    async with running(honeynet, "analyzer", server=False) as (one,):
        one.counters[name] += 7
        await until(lambda: one.conditions.of(f"loss.{name}"), 3)
        held = one.conditions.of(f"loss.{name}")
        assert held is not None and held.numbers["since it began"] == 7
