"""Password guessing: refused logins in clear, repeated short sessions of encrypted services."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.features import STATE, TCP
from agents.analyzer.findings import SECOND, Claim, Finding, Reporter, Table, View, seconds
from ontology.records import INDICATORS, Alert

REFUSAL_WINDOW_US = 600 * SECOND
"""fail2ban's default ``findtime``."""
REFUSALS = 5
"""fail2ban's default ``maxretry``."""
HTTP_REFUSALS = 20
"""Browsers collect a 401 for every first request of a protected page (RFC 9110 section 11.6.1)."""
SIP_REFUSALS = 30
"""A telephone with a wrong password tries again every 30 s at most (RFC 5626, section 4.5)."""
FORM_LOGINS = 30
"""Passwords sent in HTML forms, whose refusal is a page like any other. A person sends a few; an
office behind one address may come near, hence a low confidence at the threshold."""
SESSION_WINDOW_US = 120 * SECOND
SESSIONS = 8
"""One session every 15 s for two minutes: more than a person types, less than the slowest guesser
that gets anywhere (OpenSSH's MaxAuthTries is 6 guesses a session)."""
SESSION_BYTES = 8_000
"""Payload of the originator in a session that only authenticates: two key exchange messages, and
up to six passwords, padded (RFC 4253); a working session or a copy soon has more."""
SESSION_US = 60 * SECOND
"""Guessing ends within OpenSSH's LoginGraceTime (120 s) and mostly within one."""
IDLE_US = 300 * SECOND
"""Silence after which a source port stands for another session (the sensor's idle time-out)."""
MAX_PAIRS = 20_000
MAX_SESSIONS = 1024

SERVICES: dict[int, str] = {
    20: "FtpBruteForce",
    21: "FtpBruteForce",
    2121: "FtpBruteForce",
    22: "SshBruteForce",
    2222: "SshBruteForce",
    23: "TelnetBruteForce",
    2323: "TelnetBruteForce",
    25: "MailBruteForce",
    110: "MailBruteForce",
    143: "MailBruteForce",
    465: "MailBruteForce",
    587: "MailBruteForce",
    993: "MailBruteForce",
    995: "MailBruteForce",
    445: "SmbBruteForce",
    1433: "DatabaseBruteForce",
    3306: "DatabaseBruteForce",
    5432: "DatabaseBruteForce",
    6379: "DatabaseBruteForce",
    3389: "RdpBruteForce",
    5060: "SipBruteForce",
    5080: "SipBruteForce",
}
"""Responder port to class; another port with cleartext refusals is HTTP, or SSH by its banner."""
_NEEDED = {"HttpBruteForce": HTTP_REFUSALS, "SipBruteForce": SIP_REFUSALS}
_BY_SESSION = ("SshBruteForce", "TelnetBruteForce", "RdpBruteForce")
_OPEN = STATE["S1"]
_FORM_LOGIN = np.uint32(1 << INDICATORS.index("FormLogin"))
_SSH_BANNER = np.uint32(1 << INDICATORS.index("SshBanner"))


@dataclass(slots=True)
class _Guesses:
    """One source's logins at one service of one host, either those that are verified or others."""

    finding: Finding = field(default_factory=Finding)
    events: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=MAX_SESSIONS))
    """(time, refusals or sessions), in order of arrival."""
    forms: deque[tuple[int, bool]] = field(default_factory=lambda: deque(maxlen=MAX_SESSIONS))
    """(time, sent a form with a password) of connections in which nothing was refused."""
    attempts: int = 0
    refused: int = 0
    sessions: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """Open sessions by source port: (first packet, last packet, originator's payload bytes)."""

    def in_window(self, window_us: int) -> int:
        """Sum of the events of the last ``window_us``."""
        oldest = self.finding.end_us - window_us
        while self.events and self.events[0][0] < oldest:
            self.events.popleft()
        return sum(weight for when, weight in self.events if when >= oldest)


def services(view: View) -> NDArray[np.str_]:
    """(n,) the class that password guessing at each connection's responder would have."""
    ports = view.rows["dst_port"]
    out = np.full(len(ports), "HttpBruteForce", dtype="U18")
    for port, kind in SERVICES.items():
        out[ports == port] = kind
    out[(view.rows["indicators"] & _SSH_BANNER) > 0] = "SshBruteForce"
    return out


class Logins:
    """Password guessing, per source, target and service."""

    def __init__(self) -> None:
        self._guesses: Table[_Guesses] = Table(_Guesses, MAX_PAIRS)

    def counters(self) -> dict[str, int]:
        return {"login_evicted": self._guesses.evicted}

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        kinds = services(view)
        names, kind = np.unique(kinds, return_inverse=True)
        kind = kind.reshape(-1)
        cleartext = (view.tcp | (view.udp & (kinds == "SipBruteForce"))) & (
            (view.rows["failed_logins"] > 0) | (view.rows["login_attempts"] > 0)
        )
        alerts = []
        # What could be forged in the name of somebody who logs in makes a finding of its own.
        ends = view.source, view.target, view.verified
        for rows in view.groups(cleartext, *ends, kind):
            alerts += self._refusals(view, reporter, rows, str(names[kind[rows[0]]]))
        # A server that said nothing saw no login; forged sessions look like that.
        encrypted = view.completed & view.verified & np.isin(kinds, _BY_SESSION)
        encrypted &= view.rows["failed_logins"] == 0
        for rows in view.groups(encrypted, view.source, view.target, kind):
            alerts += self._sessions(view, reporter, rows, str(names[kind[rows[0]]]))
        return alerts

    def _track(
        self, view: View, rows: NDArray[np.int64], kind: str, way: str, window_us: int
    ) -> _Guesses:
        first = rows[0]
        ends = view.sources[view.source[first]], view.targets[view.target[first]]
        key = (kind, way, *ends, bool(view.verified[first]))
        guesses = self._guesses.get(key)
        finding = guesses.finding
        self._guesses.weigh(key, len(guesses.events) + len(guesses.sessions))
        if finding.count and int(view.start[rows].min()) > finding.end_us + window_us:
            self._guesses.drop(key)
            guesses = self._guesses.get(key)
        elif finding.verified:
            self._guesses.prove(key)
        return guesses

    def _refusals(
        self, view: View, reporter: Reporter, rows: NDArray[np.int64], kind: str
    ) -> list[Alert]:
        guesses = self._track(view, rows, kind, "refused", REFUSAL_WINDOW_US)
        guesses.finding.add(view, rows, reporter.clusters)
        failed = view.rows["failed_logins"][rows].tolist()
        guesses.events.extend(zip(view.end[rows].tolist(), failed, strict=True))
        guesses.refused += sum(failed)
        guesses.attempts += int(view.rows["login_attempts"][rows].sum())
        if kind == "HttpBruteForce" and not guesses.refused:
            return self._forms(view, reporter, rows, guesses)
        recent = guesses.in_window(REFUSAL_WINDOW_US)
        needed = _NEEDED.get(kind, REFUSALS)
        if recent < needed or not guesses.finding.due(kind):
            return []
        port = int(view.rows["dst_port"][rows[-1]])
        claim = Claim(
            classification=kind,
            explanation=(
                f"{guesses.refused} logins refused, {guesses.attempts} passwords seen in "
                f"{guesses.finding.count} connections to port {port} in {seconds(guesses.finding)}"
            ),
            confidence=0.7 + 0.2 * min((recent - needed) / (4 * needed), 1.0),
            protocol=int(view.rows["protocol"][rows[-1]]),
            target_port=port,
        )
        return [reporter.alert(guesses.finding, claim)]

    def _forms(
        self, view: View, reporter: Reporter, rows: NDArray[np.int64], guesses: _Guesses
    ) -> list[Alert]:
        finding = guesses.finding
        # Not by ``login_attempts``: a client of an API shows its password in every request.
        sent = ((view.rows["indicators"][rows] & _FORM_LOGIN) > 0).tolist()
        guesses.forms.extend(zip(view.end[rows].tolist(), sent, strict=True))
        oldest = finding.end_us - REFUSAL_WINDOW_US
        recent = sum(form for when, form in guesses.forms if when >= oldest)
        if recent < FORM_LOGINS or not finding.due("HttpBruteForce"):
            return []
        port = int(view.rows["dst_port"][rows[-1]])
        claim = Claim(
            classification="HttpBruteForce",
            explanation=(
                f"{recent} forms with passwords in {REFUSAL_WINDOW_US // SECOND} s to port {port}; "
                "whether they were refused can't be seen"
            ),
            confidence=0.5 + 0.3 * min((recent - FORM_LOGINS) / (4 * FORM_LOGINS), 1.0),
            protocol=TCP,
            target_port=port,
        )
        return [reporter.alert(finding, claim)]

    def _sessions(
        self, view: View, reporter: Reporter, rows: NDArray[np.int64], kind: str
    ) -> list[Alert]:
        guesses = self._track(view, rows, kind, "session", SESSION_WINDOW_US)
        ended = self._ended(guesses.sessions, view, rows)
        if not len(ended):
            return []
        guesses.finding.add(view, ended, reporter.clusters)
        guesses.events.extend((when, 1) for when in view.end[ended].tolist())
        recent = guesses.in_window(SESSION_WINDOW_US)
        if recent < SESSIONS or not guesses.finding.due(kind):
            return []
        port = int(view.rows["dst_port"][rows[-1]])
        claim = Claim(
            classification=kind,
            explanation=(
                f"{recent} short sessions in {SESSION_WINDOW_US // SECOND} s to port {port}, each "
                f"at most {SESSION_BYTES} bytes; {guesses.finding.count} in "
                f"{seconds(guesses.finding)}"
            ),
            # Content is encrypted: an automation that logs in often looks the same.
            confidence=0.6 + 0.25 * min((recent - SESSIONS) / (4 * SESSIONS), 1.0),
            protocol=TCP,
            target_port=port,
        )
        return [reporter.alert(guesses.finding, claim)]

    @staticmethod
    def _ended(
        sessions: dict[int, tuple[int, int, int]], view: View, rows: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The rows that end a session which was short as a whole, over all its reports."""
        ended = []
        for row in rows.tolist():
            port, begin = int(view.rows["src_port"][row]), int(view.start[row])
            first, last, size = sessions.pop(port, (begin, begin, 0))
            if begin > last + IDLE_US:
                first, size = begin, 0  # the port was used again
            end, size = int(view.end[row]), size + int(view.rows["orig_bytes"][row])
            if view.rows["state"][row] == _OPEN:
                sessions[port] = (first, end, size)
                if len(sessions) > MAX_SESSIONS:
                    sessions.pop(next(iter(sessions)))
            elif 0 < size <= SESSION_BYTES and end - first <= SESSION_US:
                ended.append(row)
        return np.array(ended, dtype=np.int64)
