"""Where the console listens, the CLI's client against it, and the event stream over real HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address

import httpx
import pytest

from agents.base.conditions import Conditions, as_text
from agents.clock import now_us
from agents.commands import blocks
from agents.commands.blocks import time_left, where
from agents.console import http_connections
from agents.console.client import ConsoleClient, ConsoleError
from agents.console.operator_socket import bind_operator_socket, operator_socket, operators
from agents.console.server import ListenError, bind
from agents.main import main
from agents.settings.modes import Modes


@pytest.mark.parametrize(
    ("listen", "message"),
    [
        ("0.0.0.0:8080", "not a loopback"),
        ("192.0.2.1:8080", "not a loopback"),
        ("[::]:8080", "not a loopback"),
        ("example.org:80", "not an IP address"),
        ("127.0.0.1", "not HOST:PORT"),
        ("127.0.0.1:http", "not HOST:PORT"),
        ("127.0.0.1:99999", "not HOST:PORT"),
        ("unix:relative.sock", "not an absolute path"),
    ],
)
def test_other_addresses_are_refused_in_one_line(listen, message):
    with pytest.raises(ListenError, match=message) as caught:
        bind(listen)
    assert "\n" not in str(caught.value)


def test_a_port_in_use_is_named():
    with closing(bind("127.0.0.1:0")) as first:
        port = first.getsockname()[1]
        with pytest.raises(ListenError, match=f"127.0.0.1:{port}: Address already in use"):
            bind(f"127.0.0.1:{port}")


def test_a_stale_socket_is_replaced_a_live_one_and_a_file_are_not(tmp_path):
    path = tmp_path / "console.sock"
    bind(f"unix:{path}").close()  # leaves the file, as a crash does
    with closing(bind(f"unix:{path}")):
        assert path.stat().st_mode & 0o777 == 0o660
        with pytest.raises(ListenError, match="in use"):
            bind(f"unix:{path}")
    other = tmp_path / "precious"
    other.write_text("data")
    with pytest.raises(ListenError):
        bind(f"unix:{other}")
    assert other.read_text() == "data"


@pytest.fixture
def client(serve, settings):
    serve("127.0.0.1:0")
    with ConsoleClient(settings) as made:
        yield made


def until(condition):
    """The feed takes a moment."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_is_held_back_is_listed_approved_and_vetoed(
    serve, settings, kit, post, monkeypatch, capsys
):
    running = serve("127.0.0.1:0")
    monkeypatch.setattr(blocks, "load_settings", lambda path: settings)
    bans = running.operations.propagation.bans
    bans.modes = Modes({"gw2": "shadow"}, {"HoneypotBruteForceIncident": "approve"})
    now = running.operations.clock()
    for name, changes in (
        ("203.0.113.9", {}),
        ("203.0.113.10", {}),
        ("203.0.113.11", {"classification": "FloodIncident"}),
    ):
        made = kit.decision(name, name, decided_us=now, **changes)
        running.call(running.operations.decide(made, *kit.evidence(made)))
    assert {o.decision.source for o in post.take()} == {ip_address("203.0.113.11")}

    def say(*words):
        assert main(["blocks", words[0], "FILE", *words[1:]]) == 0
        return capsys.readouterr().out

    until(lambda: "203.0.113.11" in say("list"))
    listed = say("list")
    assert "203.0.113.9" not in listed
    assert "gw1 gw3 pending, gw2 shadow" in listed
    assert "2 wait for a person (--waiting shows them)" in listed
    assert "3 would have been blocked" in listed
    assert say("list", "--would").count("gw2 shadow") == 3
    assert say("list", "--waiting").count("gw1 gw3 waiting") == 2
    approved = say("approve", "203.0.113.9", "--reason", "looked at it")
    assert "gw1 gw3 pending, gw2 shadow" in approved
    assert [o.gateway for o in post.take()] == ["gw1", "gw3"]
    assert "lifted" in say("veto", "203.0.113.10", "--reason", "own scanner")
    assert "wait for a person" not in say("list")
    post.take()
    assert "gw1 gw3 pending" in say("shorten", "203.0.113.9", "--by", "5m", "--reason", "x")
    assert {599, 600} & {o.decision.duration_s for o in post.take()}
    assert {899, 900} & {
        (say("undo", "--reason", "x"), *(o.decision.duration_s for o in post.take()))[-1]
    }
    say("lift", "203.0.113.9", "--grace", "2h", "--reason", "x")
    assert {o.decision.duration_s for o in post.take()} == {7200}
    say("undo", "--reason", "own scanner, but a bad one")
    assert main(["blocks", "veto", "FILE", "203.0.113.11", "--reason", "x"]) == 1
    assert "the block of 203.0.113.11 waits for nobody" in capsys.readouterr().err


def test_the_client_does_what_the_command_line_needs(client, post):
    made = client.add("203.0.113.50", duration_s=600, reason="by hand")
    assert [(o.gateway, o.decision.duration_s) for o in post.take()] == [
        ("gw1", 600),
        ("gw2", 600),
        ("gw3", 600),
    ]
    assert [b["id"] for b in client.blocks()] == [made["id"]]
    assert client.blocks(gateway="nowhere") == []
    longer = client.extend("203.0.113.50", seconds=300, reason="still there")
    assert longer["expires_us"] >= made["expires_us"] + 299_000_000
    assert client.lift(made["id"], reason="enough")["state"] == "lifted"
    assert client.block(made["id"])["block"]["ended_by"] == "user:cli"
    assert len(client.agents()) == 13
    assert client.me()["honeynet"] == "testnet"
    until(lambda: "unblock: unblocked" in [line["what"] for line in client.audit()["lines"]])
    assert client.incidents() == client.alerts() == []
    for call, message in (
        (
            lambda: client.lift("203.0.113.50", reason="x"),
            "is not to be blocked; gw1 has not been heard",
        ),
        (lambda: client.add("10.0.1.1", reason="x"), "node gw1"),
        (lambda: client.add("x", reason="x"), "source"),
        (lambda: client.lift("../../me", reason="x"), "Not Found|no such block"),
    ):
        with pytest.raises(ConsoleError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_missing_console_or_token_is_one_line(settings, credentials):
    with pytest.raises(ConsoleError, match=r"console-token: No such file.*node 'gw1'.*ssh"):
        ConsoleClient(settings.model_copy(update={"state_dir": settings.state_dir / "elsewhere"}))
    with (
        ConsoleClient(settings) as client,
        pytest.raises(ConsoleError, match=r"operator\.sock: No such file.*node 'gw1'.*ssh"),
    ):
        client.blocks()
    bind_operator_socket(settings, "gw1").close()  # leaves the file, as a crash does
    with ConsoleClient(settings) as client, pytest.raises(ConsoleError, match="no console answers"):
        client.blocks()


def test_the_operators_socket_is_for_its_users_alone(serve, settings):
    """The kernel says whose process asks; also who has the token is nobody then."""
    running = serve("127.0.0.1:0", allowed=frozenset({os.geteuid() + 1}))
    path = operator_socket(settings, "gw1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o007 == 0
    with ConsoleClient(settings) as client, pytest.raises(ConsoleError, match="no console answers"):
        client.blocks()
    assert running.link.console.counters["refused_user"] >= 1
    assert operators(settings) >= {0, os.geteuid()}


def test_who_reaches_the_socket_but_not_the_token_gets_nothing(serve, settings, monkeypatch):
    """An agent of the same user, say: Landlock keeps the file from it, and not the socket."""
    serve("127.0.0.1:0")
    with ConsoleClient(settings) as client:
        monkeypatch.setattr(client, "_token", "a" * 43)
        for call in (client.me, lambda: client.lift("urn:uuid:1", reason="x")):
            with pytest.raises(ConsoleError, match="doesn't know this token"):
                call()


def test_no_header_makes_a_page_connection_the_operators(serve, credentials):
    url = serve("127.0.0.1:0").url
    right = {"Authorization": f"Bearer {credentials.token}"}
    for headers in (right, {"X-Forwarded-For": "127.0.0.1"}):
        assert httpx.get(f"{url}/api/v1/me", headers=headers).status_code == 401


def test_a_change_reaches_the_stream_and_logout_ends_it(serve, kit):
    running = serve("127.0.0.1:0")
    headers = {"Origin": running.url}
    with httpx.Client(base_url=running.url, headers=headers, timeout=20) as browser:
        browser.post("/login", data={"user": "operator", "password": "operator pass"})
        csrf = browser.get("/api/v1/me").json()["csrf"]
        with browser.stream("GET", "/api/v1/events") as stream:
            lines = stream.iter_lines()
            assert "event: hello" in (next(lines), next(lines))
            running.call(running.operations.decide(kit.decision(decided_us=now_us()), None, ()))
            change = next(x for x in lines if x.startswith('data: {"blocks"'))
            (block,) = json.loads(change.removeprefix("data: "))["blocks"]
            assert block["source"] == "203.0.113.9"
            browser.post("/api/v1/logout", headers={"X-CSRF-Token": csrf})
            assert not any("blocks" in line for line in lines)  # and it ends
        assert browser.get("/api/v1/events").status_code == 401


def test_a_body_of_unknown_length_is_refused(serve):
    running = serve("127.0.0.1:0")
    answer = httpx.post(f"{running.url}/login", content=iter([b"user=a"]))
    assert answer.status_code == 411


@pytest.mark.parametrize("request_line", [b"\x16\x03\x01\x02\x00", b"GET", b"A" * 100_000])
def test_garbage_gets_no_more_than_an_error(serve, request_line):
    running = serve("127.0.0.1:0")
    port = int(running.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(request_line + b"\r\n\r\n")
        raw.shutdown(socket.SHUT_WR)
        assert raw.recv(100).startswith((b"HTTP/1.1 400", b""))
    assert httpx.get(f"{running.url}/healthz").text == "ok\n"


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /login HTTP/1.1\r\nHost: loc",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nuser=",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /login HT",
    ],
)
def test_who_does_not_finish_a_request_is_hung_up_on(serve, monkeypatch, begun):
    """256 of them would keep the operator out for as long as they like."""
    monkeypatch.setattr(http_connections, "REQUEST_S", 0.3)
    console = serve("127.0.0.1:0")
    with socket.create_connection(("127.0.0.1", httpx.URL(console.url).port), 5) as link:
        link.settimeout(5)
        first, second = begun[: len(begun) - 9], begun[len(begun) - 9 :]
        link.sendall(first)
        time.sleep(0.1)
        link.sendall(second)
        # An answer to the first request, at most; what it has not read yet makes an end a reset.
        with contextlib.suppress(ConnectionResetError):
            while link.recv(4096):
                pass


def test_a_stream_and_a_quiet_connection_outlive_the_limit_for_requests(serve, monkeypatch):
    console = serve("127.0.0.1:0")
    with httpx.Client(base_url=console.url, headers={"Origin": console.url}) as client:
        client.post("/login", data={"user": "viewer", "password": "viewer pass"})
        monkeypatch.setattr(http_connections, "REQUEST_S", 0.2)
        with client.stream("GET", "/api/v1/events") as events:
            chunks = events.iter_text()
            assert "hello" in next(chunks)
            assert "tick" in next(chunks)
        assert client.get("/healthz").status_code == 200
        time.sleep(0.5)
        assert client.get("/healthz").status_code == 200


@pytest.fixture
def asking(serve, settings):
    """A running console, and a client of its own."""
    running = serve("127.0.0.1:0")
    with ConsoleClient(settings) as client:
        yield running, client


def said_of(client, address):
    with pytest.raises(ConsoleError) as caught:
        client.resolve(address)
    return str(caught.value)


def test_not_blocked_is_what_gateways_said_and_when(asking, kit, settings):
    running, client = asking

    def register(gateway, *held):
        conditions = Conditions(running.operations.clock)
        for name in held:
            conditions.fault(name, "the table is gone")
        one = replace(
            kit.describe(settings, "reaction", gateway), conditions=as_text(conditions.current())
        )
        running.call(running.operations.register(one, settings.jid("reaction", gateway)))

    for gateway in kit.GATEWAYS:
        register(gateway)
    until(lambda: [a["state"] for a in client.agents() if a["role"] == "reaction"] == ["up"] * 3)
    clear = re.fullmatch(
        r"192\.0\.2\.9 is not blocked on gw1 \(heard \d+ s ago\), gw2 .*, gw3 .*",
        said_of(client, "192.0.2.9"),
    )
    assert clear
    register("gw2", "firewall")
    until(lambda: "gw2 can't look at its rules" in said_of(client, "192.0.2.9"))
    said = said_of(client, "192.0.2.9")
    assert said.startswith("192.0.2.9 is not to be blocked; gw2 can't look at its rules: what it")
    assert "not blocked on gw1 (heard" in said and "gw3 (heard" in said

    # Lifted, and one gateway has not said so yet.
    made = client.add("192.0.2.9", duration_s=600, reason="by hand")
    decided = running.operations.ledger.entry(made["id"]).decision
    for gateway in ("gw1", "gw3"):
        running.call(running.operations.report(kit.report(decided, gateway)))
    until(lambda: "active" in where(client.block(made["id"])["block"]))
    lifted = client.lift("192.0.2.9", reason="enough")
    assert time_left(lifted, 0) == "lifting"
    until(lambda: "gw1 has not said that it no longer is" in said_of(client, "192.0.2.9"))


def test_active_of_a_gateway_that_is_not_heard_is_unknown(asking, kit, settings):
    running, client = asking
    now = running.operations.clock()
    one = kit.decision(decided_us=now)
    running.call(running.operations.decide(one, *kit.evidence(one)))
    for gateway in kit.GATEWAYS:
        entry = kit.describe(settings, "reaction", gateway)
        running.call(running.operations.register(entry, settings.jid("reaction", gateway)))
        running.call(running.operations.report(kit.report(one, gateway, at_us=now)))
    until(lambda: [where(b) for b in client.blocks()] == ["gw1 gw2 gw3 active"])
    directory = running.operations.directory
    running.loop.call_soon_threadsafe(directory.move, -3600 * 1_000_000)  # an hour ago
    running.call(running.operations.sweep())
    until(lambda: [where(b) for b in client.blocks()] == ["gw1 gw2 gw3 unknown"])
    [block] = client.blocks()
    assert not block["settled"] and "not been heard since" in block["gateways"][0]["detail"]
    assert where(client.block(block["id"])["block"]) == "gw1 gw2 gw3 unknown"
    # What was said last is there for who asks for it.
    answer = client._request("GET", "blocks", params={"said": "true"})[0]
    assert where(answer[0]) == "gw1 gw2 gw3 active"


def test_a_list_knows_how_much_it_leaves_out(asking, monkeypatch):
    running, client = asking
    for number in range(7):
        source = ip_address(f"203.0.113.{number}")
        running.call(running.operations.block(source, 600, "by hand", "ana"))
    until(lambda: len(client.blocks()) == 7)
    assert client.blocks().total == 7
    part = client.blocks(limit=3)
    assert (len(part), part.total) == (3, 7)
    monkeypatch.setattr("agents.console.client.PAGE", 2)
    for limit, count in ((0, 7), (5, 5), (6, 6), (7, 7), (100, 7)):
        found = client.blocks(limit=limit)
        assert (len({b["id"] for b in found}), found.total) == (count, 7)
    for path in ("incidents", "alerts", "audit"):
        assert client._request("GET", path)[1]["X-Total-Count"].isdecimal()


def test_a_supervisor_that_is_not_heard_makes_the_list_old(asking):
    running, client = asking
    assert client.late() == ""
    clock = running.operations.clock
    running.link.console.heard = lambda: clock() - 61_000_000
    assert client.late().startswith("the supervisor has not been heard for 6")
    running.link.console.heard = lambda: 0
    assert client.late() == "the supervisor has not been heard yet: this may be out of date"
