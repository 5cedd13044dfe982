"""Which cookies are sessions, and what is remembered of them."""

from __future__ import annotations

import pytest

from agents.sensor import cookie_sessions
from agents.sensor.cookie_sessions import CookieSessions, Use, is_session, user_agent


@pytest.mark.parametrize(
    ("name", "so"),
    [
        *((name, True) for name in ("PHPSESSID", "JSESSIONID", "connect.sid", "sessionid", "sid")),
        *((name, True) for name in ("wordpress_logged_in_37d", "auth_token", "ASP.NET_SessionId")),
        *((name, False) for name in ("csrftoken", "XSRF-TOKEN", "lang", "_ga", "side", "")),
    ],
)
def test_sessions_are_told_by_their_names(name: str, so: bool) -> None:
    assert is_session(name.encode()) is so


def test_agents_are_read_without_case_and_cut() -> None:
    assert user_agent(b"GET / HTTP/1.1\r\nuser-agent:  curl/8 \r\n") == b"curl/8"
    assert user_agent(b"GET / HTTP/1.1\r\nHost: x\r\n") == b""
    assert len(user_agent(b"GET / HTTP/1.1\r\nUser-Agent: " + b"x" * 999 + b"\r\n")) == 128


def test_sessions_are_bounded_and_what_is_forgotten_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cookie_sessions, "MAX_SESSIONS", 4)
    sessions = CookieSessions()
    for number in range(6):
        head = b"GET / HTTP/1.1\r\nCookie: sid=0123456789abcdef%d\r\n" % number
        assert sessions.on_request(Use(b"\1" * 16, b"\2" * 16, 80, number), head) == []
    assert sessions.evicted == 2


def test_a_cookie_that_was_cut_off_counts_for_nothing() -> None:
    sessions = CookieSessions()
    whole = b"GET / HTTP/1.1\r\nCookie: sid=0123456789abcdef0123\r\n"
    cut = b"GET / HTTP/1.1\r\nCookie: a=b; sid=0123456789abcdef0123"
    assert sessions.on_request(Use(b"\1" * 16, b"\2" * 16, 80, 1), whole) == []
    assert sessions.on_request(Use(b"\3" * 16, b"\2" * 16, 80, 2), cut) == []
    assert len(sessions.on_request(Use(b"\3" * 16, b"\2" * 16, 80, 3), whole)) == 1
