"""Sessions of web sites by their cookies: who was given one, and who else uses it.

A session's cookie is as good as its owner's password for as long as the session lasts, and by clear
HTTP everybody on the way can read it ("sidejacking"). What gives a thief away is the use of one
cookie by two. Addresses change by themselves (telephones, translation with several addresses), and
one owner may have several programs; so it counts only if both differ, and if the server was seen to
give the cookie to another. Then it is still a claim: packets can be forged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final, NamedTuple

from cachetools import LRUCache

from agents.sensor.watch_alerts import SECOND, Sighting
from ontology.addresses import to_address

LIVE_US = 1800 * SECOND
"""A session idle for longer is over: 15 to 30 minutes are usual (OWASP, "Session Management Cheat
Sheet")."""
LEAST = 16
"""Characters of a session's name in its cookie: 64 bits in hexadecimal (the same)."""
DISTINCT = 8
"""Different ones of them: fewer are a word or a number, not drawn at random."""
SHARED = 3
"""Addresses that one thief and one owner may have; what more use is nobody's own."""
MAX_SESSIONS = 8192
_MAX_PAIRS = 32
_LONGEST: Final = 128
_THIEVES = 4
_NAMES: Final = (b"sess", b"auth", b"token", b"logged_in", b"jwt", b"ticket", b"remember")


class Use(NamedTuple):
    """One request or answer with its two ends."""

    client: bytes
    server: bytes
    port: int
    at_us: int


@dataclass(slots=True)
class _Stranger:
    """Somebody who is not the owner, as far as is known."""

    begin_us: int
    last_us: int = 0
    count: int = 0
    reported: int = 0
    confidence: float = 0.0


@dataclass(slots=True)
class _Session:
    owner: bytes
    agent: bytes | None
    """None: he has not asked for anything yet."""
    given: bool
    """The server was seen to give it to him."""
    last_us: int
    returned: bool = False
    """He went on when somebody else had used it."""
    addresses: set[bytes] = field(default_factory=set)
    strangers: dict[tuple[bytes, bytes], _Stranger] = field(default_factory=dict)


_Key = tuple[bytes, bytes, bytes]


class CookieSessions:
    """Sessions by server, cookie and value. Pure: time comes with what is asked."""

    def __init__(self) -> None:
        self._sessions: LRUCache[_Key, _Session] = LRUCache(MAX_SESSIONS)
        self.evicted = 0

    def on_given(self, use: Use, head: bytes) -> None:
        """An answer's head."""
        for name, value in _given(head):
            key = (use.server, name, value)
            known = self._sessions.get(key)
            if known is None or use.at_us - known.last_us > LIVE_US:
                self._begin(key, _Session(use.client, None, True, use.at_us))
            elif known.owner == use.client:
                # Servers repeat it with every answer: to whom it was given first counts.
                known.last_us = use.at_us

    def on_request(self, use: Use, head: bytes) -> list[Sighting]:
        """A request's head."""
        agent: bytes | None = None
        found = []
        at = head.lower().find(b"\ncookie:")
        for name, value in _pairs(_line(head, at + 8)) if at >= 0 else ():
            if agent is None:
                agent = user_agent(head)
            key = (use.server, name, value)
            known = self._sessions.get(key)
            if known is None or use.at_us - known.last_us > LIVE_US:
                self._begin(key, _Session(use.client, agent, False, use.at_us))
                continue
            if use.client == known.owner and known.agent in (None, agent):
                known.agent, known.last_us = agent, use.at_us
                known.returned = bool(known.strangers)
                found += [
                    self._judge(known, key, who, use)
                    for who in known.strangers
                    if known.returned and use.at_us - known.strangers[who].last_us <= LIVE_US
                ]
                continue
            who = (use.client, agent)
            stranger = known.strangers.get(who)
            if stranger is None:
                known.addresses |= {use.client, known.owner}
                if len(known.strangers) >= _THIEVES:
                    continue
                stranger = known.strangers[who] = _Stranger(use.at_us)
            stranger.count += 1
            stranger.last_us = use.at_us
            found.append(self._judge(known, key, who, use))
        return [one for one in found if one is not None]

    def _begin(self, key: _Key, session: _Session) -> None:
        self.evicted += key not in self._sessions and len(self._sessions) >= MAX_SESSIONS
        self._sessions[key] = session

    @staticmethod
    def _judge(session: _Session, key: _Key, who: tuple[bytes, bytes], use: Use) -> Sighting | None:
        client, agent = who
        if len(session.addresses) > SHARED:
            return None
        elsewhere = client != session.owner
        other = session.agent is not None and agent != session.agent
        if elsewhere and other and session.given:
            confidence = 0.75 if session.returned else 0.6
        elif elsewhere:
            confidence = 0.4 if other or session.given else 0.3
        else:
            confidence = 0.3
        stranger = session.strangers[who]
        if confidence <= stranger.confidence and stranger.count < 2 * stranger.reported:
            return None
        stranger.confidence, stranger.reported = (
            max(confidence, stranger.confidence),
            stranger.count,
        )
        differs = " and ".join(
            word for word, so in (("address", elsewhere), ("user agent", other)) if so
        )
        owner = to_address(session.owner)
        return Sighting(
            classification="SessionHijacking",
            key=sha256(b"|".join((client, agent, *key))).hexdigest(),
            source=to_address(client),
            target=to_address(use.server),
            target_port=use.port,
            begin_us=stranger.begin_us,
            end_us=max(stranger.last_us, stranger.begin_us),
            count=stranger.count,
            confidence=stranger.confidence,
            protocol=6,
            explanation=(
                f"{stranger.count} requests with the session cookie "
                f"{key[1].decode('ascii', 'backslashreplace')!r} that "
                f"{'was given to' if session.given else 'was used before by'} {owner}, "
                f"with another {differs}{'; he goes on with it' if session.returned else ''}"
            ),
        )


def user_agent(head: bytes) -> bytes:
    """What the client calls itself, cut; empty if it doesn't say."""
    at = head.find(b"\nUser-Agent:")
    if at < 0:
        at = head.lower().find(b"\nuser-agent:")
        if at < 0:
            return b""
    return _line(head, at + 12).strip()[:_LONGEST]


def _line(head: bytes, at: int) -> bytes:
    """The rest of the line; without its last pair if it was cut off."""
    end = head.find(b"\r\n", at)
    if end >= 0:
        return head[at:end]
    return head[at : max(head.rfind(b";", at), at)]


def _pairs(line: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of cookies that are sessions."""
    for part in line.split(b";", _MAX_PAIRS)[:_MAX_PAIRS]:
        name, _, value = part.partition(b"=")
        if len(value) >= LEAST:
            name = name.strip()[:_LONGEST]
            value = value.strip(b' "')[:_LONGEST]
            if is_session(name) and len(value) >= LEAST and len(set(value)) >= DISTINCT:
                yield name, value


def _given(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    low, at = head.lower(), 0
    for _ in range(_MAX_PAIRS):
        at = low.find(b"\nset-cookie:", at) + 12
        if at < 12:
            return
        yield from _pairs(_line(head, at).partition(b";")[0])


@lru_cache(maxsize=1024)
def is_session(name: bytes) -> bool:
    """Whether a cookie of this name stands for a login: as frameworks call theirs (PHPSESSID,
    JSESSIONID, connect.sid, sessionid …). Tokens against forged forms are none."""
    low = name.lower()
    if b"csrf" in low or b"xsrf" in low:
        return False
    return low.endswith(b"sid") or any(word in low for word in _NAMES)
