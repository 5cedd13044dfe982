"""Links within a node, over real sockets; what agents do with them is in `test_agent`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import uvloop

import agents.base.local
from agents.base.local import MAX_FRAME, LocalLinks, connect_to, listen_on, socket_path
from agents.messages.acl import AclMessage, MessageError
from agents.settings.honeynet import Settings
from ontology import frames

SENSOR, ANALYZER = "sensor.gw1@honeynet.test", "analyzer.gw1@honeynet.test"


LOOPS = (uvloop.new_event_loop, asyncio.new_event_loop)
"""Agents run on uvloop, whose transports are not asyncio's."""


class End:
    """One agent's links and what came over them."""

    def __init__(self, settings: Settings, role: str, node: str = "gw1") -> None:
        self.counters: Counter[str] = Counter()
        self.links = LocalLinks(settings, role, node, self.counters)
        self.got: list[AclMessage] = []
        self.broken: list[tuple[str, str, MessageError]] = []
        self.peers: list[str] = []
        self.rooms = 0
        self.links.on_message = self.got.append
        self.links.on_broken = lambda *what: self.broken.append(what)
        self.links.on_peer = self.peers.append
        self.links.on_room = self._room

    def _room(self) -> None:
        self.rooms += 1


@contextlib.asynccontextmanager
async def started(*ends: End) -> AsyncIterator[None]:
    for end in ends:
        await end.links.start()
    try:
        yield
    finally:
        for end in ends:
            await end.links.close()


async def until(condition: Callable[[], object], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  also for what another process does
            await asyncio.sleep(0.005)


def message(content: str = "hello", sender: str = SENSOR, to: str = ANALYZER) -> AclMessage:
    return AclMessage(
        performative="inform",
        sender=sender,
        receivers=(to,),
        content=content,
        protocol="fipa-request",
        conversation_id="c-1",
        sent_us=1,
        session="n",
        signature="s",
    )


@pytest.mark.parametrize("loop", LOOPS)
def test_each_message_arrives_whole_and_in_order(
    bare_honeynet: Settings, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_exchange(bare_honeynet))


async def _exchange(bare_honeynet: Settings) -> None:
    one, other = End(bare_honeynet, "sensor"), End(bare_honeynet, "analyzer")
    sent = [message(f"<é&\n{number}>" * (number + 1) * 40) for number in range(200)]
    async with started(one, other):
        await until(lambda: ANALYZER in one.links.connected and SENSOR in other.links.connected)
        for each in sent:
            one.links.transmit(each, ANALYZER)
        other.links.transmit(message("back", ANALYZER, SENSOR), SENSOR)
        await until(lambda: len(other.got) == len(sent) and one.got)
    assert other.got == sent
    assert one.got == [message("back", ANALYZER, SENSOR)]
    assert one.counters == other.counters == {}
    for role in ("sensor", "analyzer"):
        assert list(socket_path(bare_honeynet, role, "gw1").parent.iterdir()) == []


async def test_a_peer_that_starts_again_is_reached_at_once(
    bare_honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection to us says that it is there; nobody waits for the next attempt."""
    monkeypatch.setattr(agents.base.local, "RETRY_S", (60.0, 60.0))
    one = End(bare_honeynet, "sensor")
    async with started(one):
        for times in (1, 2):
            other = End(bare_honeynet, "analyzer")
            async with started(other):
                await until(lambda other=other: SENSOR in other.links.connected)
                # As its agent does: the first message on a new link says who it is.
                other.links.transmit(message("online", ANALYZER, SENSOR), SENSOR)
                await until(lambda: ANALYZER in one.links.connected, 2.0)
                assert one.peers == [ANALYZER] * times
            await until(lambda: ANALYZER not in one.links.connected)
    assert one.counters["local_link_lost"] == 2


def test_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 120) / ("e" * 120) / "sensor.sock"
    with listen_on(path) as listener, connect_to(path, os.geteuid()) as made:
        listener.setblocking(True)
        taken, _ = listener.accept()
        with taken:
            made.send(b"hello")
            assert taken.recv(5) == b"hello"
        assert path.stat().st_mode & 0o777 == 0o660
        assert path.parent.stat().st_mode & 0o777 == 0o710


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        connect_to(tmp_path / "none" / "sensor.sock", os.geteuid())
    path = tmp_path / "sensor.sock"
    listen_on(path).close()  # as SIGKILL leaves it
    with pytest.raises(ConnectionRefusedError):
        connect_to(path, os.geteuid())
    listen_on(path).close()  # and it is no obstacle to the next


CONNECT_AS_NOBODY = """\
import os, socket, sys
os.chdir(sys.argv[1])
os.setgid(65534); os.setuid(65534)
made = socket.socket(socket.AF_UNIX)
made.settimeout(10)
made.connect("messages.sock")
try:
    made.sendall(bytes.fromhex(sys.argv[2]))
    print(made.recv(1))
except ConnectionError:
    print(b"")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
async def test_another_user_is_cut_off_even_if_the_files_let_it_in(
    bare_honeynet: Settings, tmp_path: Path
) -> None:
    end = End(bare_honeynet, "analyzer")
    async with started(end):
        for folder in (end.links.path, *end.links.path.parents):
            if tmp_path.parents[1] in folder.parents or folder == end.links.path:
                folder.chmod(0o777)
        frame = agents.base.local.to_frame(message())
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", CONNECT_AS_NOBODY, str(end.links.path.parent), frame.hex(),
            stdout=subprocess.PIPE,
        )  # fmt: skip
        said, _ = await asyncio.wait_for(child.communicate(), 20)
        assert said == b"b''\n"
        assert end.counters["refused_user"] == 1 and end.got == []


@pytest.mark.parametrize(
    "data",
    [
        frames.PREFIX.pack(MAX_FRAME + 1),
        frames.PREFIX.pack(1),
        frames.PREFIX.pack(8) + frames.PREFIX.pack(200) + b"abcd",
        frames.PREFIX.pack(8) + frames.PREFIX.pack(4) + b"}{[]",
        b"\xff" * 4096,
    ],
)
async def test_what_is_no_frame_ends_the_connection(bare_honeynet: Settings, data: bytes) -> None:
    end = End(bare_honeynet, "analyzer")
    async with started(end):
        made = connect_to(end.links.path, os.geteuid())
        reader, writer = await asyncio.open_unix_connection(sock=made)
        writer.write(data)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert end.counters["refused_unparsable"] == 1 and end.got == []


async def test_a_frame_that_is_no_message_is_told_and_the_next_one_read(
    bare_honeynet: Settings,
) -> None:
    end = End(bare_honeynet, "analyzer")
    head = {"sender": SENSOR, "reply-with": "m-1"}
    async with started(end):
        made = connect_to(end.links.path, os.geteuid())
        _, writer = await asyncio.open_unix_connection(sock=made)
        writer.write(frames.encode({**head, "receiver": 7}))
        writer.write(frames.encode(head, b"\xff"))
        writer.write(agents.base.local.to_frame(message()))
        await until(lambda: end.got)
        writer.close()
    assert [what[:2] for what in end.broken] == [(SENSOR, "m-1")] * 2


async def test_an_agent_of_another_node_has_no_business_here(bare_honeynet: Settings) -> None:
    end = End(bare_honeynet, "analyzer")
    async with started(end):
        _, writer = await asyncio.open_unix_connection(
            sock=connect_to(end.links.path, os.geteuid())
        )
        writer.write(agents.base.local.to_frame(message(sender="sensor.gw2@honeynet.test")))
        writer.write(agents.base.local.to_frame(message()))
        await until(lambda: end.got)
        writer.close()
    assert len(end.got) == 1 and end.counters == {"dropped_foreign": 1}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_peer_that_does_not_read_gets_a_bounded_amount(
    bare_honeynet: Settings, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """First no more is offered, then what comes all the same is dropped; later it goes on."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_flood(bare_honeynet))


async def _flood(bare_honeynet: Settings) -> None:
    end = End(bare_honeynet, "sensor")
    stuck = listen_on(socket_path(bare_honeynet, "analyzer", "gw1"))
    with stuck:
        async with started(end):
            await until(lambda: end.links.reaches(ANALYZER))
            taken, _ = stuck.accept()
            big = message("x" * 190_000)
            assert end.links.has_room(ANALYZER)
            for _ in range(200):
                end.links.transmit(big, ANALYZER)
            assert not end.links.has_room(ANALYZER)
            assert 0 < end.counters["dropped_local_full"] < 200
            await asyncio.get_running_loop().run_in_executor(None, _drain, taken)
            await until(lambda: end.links.has_room(ANALYZER) and end.rooms == 1)
            taken.close()


def _drain(taken: socket.socket) -> None:
    taken.settimeout(1.0)
    with contextlib.suppress(TimeoutError):
        while taken.recv(1 << 20):
            pass


async def test_where_no_socket_can_be_made_it_is_told_and_tried_again(
    honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an agent starts on a disk that is full or read-only."""
    monkeypatch.setattr(agents.base.local, "LISTEN_AGAIN_S", 0.05)
    told: dict[str, str] = {}

    class Told:
        def fault(self, name: str, reason: str) -> None:
            told[name] = reason

        def clear(self, name: str) -> None:
            told.pop(name, None)

    sensor = End(honeynet, "sensor")
    analyzer = End(honeynet, "analyzer")
    analyzer.links._faults = Told()
    path = analyzer.links.path
    path.parent.parent.mkdir(parents=True)
    path.parent.write_text("in the way")
    async with started(sensor, analyzer):
        assert list(told) == [str(path)] and str(path) in told[str(path)]
        await until(lambda: False if sensor.links.connected else analyzer.links.connected)
        assert not sensor.links.connected
        path.parent.unlink()
        await until(lambda: sensor.links.connected == {ANALYZER})
        assert not told
        sensor.links.transmit(message(), ANALYZER)
        await until(lambda: analyzer.got)
