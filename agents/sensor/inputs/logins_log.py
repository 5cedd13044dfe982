"""What sshd and PAM say of logins, in auth.log or the journal.

Formats: OpenSSH's auth.c, auth2.c and packet.c (the same since 9.8, where the program is called
``sshd-session``), pam_unix's ``authentication failure``. Refused logins become rows, so that the
analyzer's own windows count them. A user name may hold anything, also what looks like the rest of
such a line: only what sshd writes behind it counts, and two readings are one refusal.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import re2

from agents.sensor.inputs.events import (
    ACK,
    PSH,
    SSH_BANNER,
    STATE,
    SYN,
    TCP,
    Host,
    LineRefused,
    Options,
    Sighting,
    digits,
    host,
    pack_row,
)

SSH = frozenset({"sshd", "sshd-session", "sshd-auth", "dropbear"})
PAM_PORTS = {
    "vsftpd": 21,
    "ftp": 21,
    "proftpd": 21,
    "pure-ftpd": 21,
    "dovecot": 143,
    "imap": 143,
    "smtp": 25,
    "xrdp": 3389,
    "xrdp-sesman": 3389,
    "samba": 445,
    "remote": 23,
}
"""Service in PAM's words (``pam_unix(vsftpd:auth)``) to the port that it has by default."""
_BARE = ("kernel", "systemd-logind")
"""Programs known also without a number of a process."""
MAX_PROCESSES = 512
"""Processes of sshd of which an announced refusal is remembered."""
_HEAD = 160
"""Characters in which time, host and program stand."""
_SEEN = SYN | ACK | PSH
_REPEATED = re2.compile(r"message repeated (\d{1,6}) times: \[ (.*)\]\s*$")
_SOLARIS = re2.compile(r"\[ID \d+ [\w.]+\] ")
_BEHIND = re2.compile(r"(\S+)(?: port (\d{1,5}))?(?: ssh\d?)?(?:: .*)?(?: via \S+)? *$")
_CLAIMED = re2.compile(r" from \S+ port \d+(?: |$)")
_RHOST = re2.compile(r" rhost=(\S+)(?: |$)")
_SERVICE = re2.compile(r"pam_unix\(([\w-]{1,40}):auth\): (authentication failure;)?")
_LOCAL = re2.compile(r"Connection from \S+ port \d+ on (\S+) port (\d+)")
_LISTENING = re2.compile(r"Server listening on \S+ port (\d+)\.")

_QUIET = (
    "Connection ",
    "Received disconnect ",
    "Disconnected from ",
    "Disconnecting",
    "Postponed ",
    "Starting session",
    "Close session",
    "Server listening ",
    "Received signal ",
    "pam_",
    "PAM ",
    "Exiting",
    "error: ",
    "fatal: ",
    "input_userauth_request",
    "Transferred: ",
    "Timeout",
    "Address ",
    "reverse mapping ",
    "User child ",
    "debug",
    "subsystem request ",
    "Could not ",
    "ssh_dispatch_run_fatal",
)
"""Begins of what sshd says besides."""


def program_of(text: str, end: int) -> tuple[str | None, int]:
    """The program whose syslog line this is, and where its message begins; None and 0 if the line
    names none (the kernel's own, ``dmesg``). ``end``: nothing behind it is looked at.

    Only what stands before the first colon counts: a stranger's text comes behind it.
    """
    head = text[: min(end, _HEAD)]
    if head.startswith("<"):
        # RFC 5424 has no colon: <PRIORITY>1 TIME HOST PROGRAM PROCESS MESSAGE-ID DATA MESSAGE
        words = text[:_HEAD].split(" ", 6)
        if len(words) == 7 and words[0].endswith(">1") and not words[3].endswith(":"):
            at = sum(map(len, words[:6])) + 6
            at = text.find("] ", at) + 2 if words[6].startswith("[") else at + 2
            if text.startswith("\ufeff", at):
                at += 1
            return words[3], at
    colon = head.find(": ")
    if colon < 0:
        return None, 0
    word = head[head.rfind(" ", 0, colon) + 1 : colon]
    name, bracket, number = word.partition("[")
    if bracket and name and number.endswith("]") and number[:-1].isdecimal():
        return name, colon + 2
    word = word.strip("[]")
    return (word, colon + 2) if word in SSH or word in _BARE else (None, 0)


class LoginsLog:
    """The lines of one host. Kept: which processes announced a refusal before its own line, and
    where sshd listens."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._announced: OrderedDict[str, None] = OrderedDict()
        self._port = 22
        self._local: dict[int, str] = {}

    def memory(self) -> str:
        return json.dumps([self._port, list(self._local.values()), list(self._announced)])

    def remember(self, memory: str) -> None:
        """Raises: ValueError."""
        if not memory:
            return
        port, local, announced = json.loads(memory)
        self._port = digits(str(port), 65535)
        self._local = {host(one).version: str(host(one).value) for one in local}
        self._announced = OrderedDict.fromkeys(str(one) for one in announced[:MAX_PROCESSES])

    def knows(self, program: str) -> bool:
        """Whether lines of this program are for us."""
        return program in SSH or program in PAM_PORTS or program == "auth"

    def on_message(self, program: str, message: str, at: Callable[[], int]) -> Iterable[Sighting]:
        """``message``: behind program and process number. ``at`` gives the line's time.

        Raises: LineRefused.
        """
        times = 1
        if message.startswith("message repeated "):
            found = _REPEATED.match(message)
            if found:
                times, message = min(int(found[1]), 255), found[2]
        if message.startswith("[ID "):
            found = _SOLARIS.match(message)
            message = message[found.end() :] if found else message
        if message.startswith("pam_unix("):
            return self._pam(message, times, at)
        if program not in SSH:
            return ()
        message = message.removesuffix(" [preauth]")
        if message.startswith("Failed "):
            return self._failed(message, times, at)
        if message.startswith(("Invalid user ", "Illegal user ")):
            return self._refused(message, times, at)
        if message.startswith("User ") and " not allowed because " in message:
            head, _, _ = message.rpartition(" not allowed because ")
            return self._refused(head, times, at) if " from " in head else ()
        if message.startswith("error: PAM: ") and " for " in message:
            return self._refused(message, times, at) if " from " in message else ()
        if message.startswith("Accepted "):
            return (self._row(*self._source(message), at(), logins=(0, times)),)
        if message.startswith(("Did not receive identification", "Bad protocol version")):
            return (self._row(*self._source(message), at()),)
        if message.startswith(_QUIET):
            self._learn(message)
        return ()

    def _failed(self, message: str, times: int, at: Callable[[], int]) -> Iterable[Sighting]:
        method = message[7 : message.find(" ", 7)]
        strange = message[7 + len(method) :].startswith(
            (" for invalid user ", " for illegal user ")
        )
        # "none" asks which methods there are. A key that isn't wanted is offered by everybody who
        # has several.
        if method == "none" or (method == "publickey" and not strange):
            return ()
        source, port = self._source(message)
        key = f"{source.value} {port}"
        if key in self._announced:
            # Counted when the name was refused.
            del self._announced[key]
            times -= 1
        if not times:
            return ()
        return (self._row(source, port, at(), logins=(times, times)),)

    def _refused(self, message: str, times: int, at: Callable[[], int]) -> Iterable[Sighting]:
        """A name that may not log in at all: with keys only, no other line says so."""
        source, port = self._source(message)
        key = f"{source.value} {port}"
        if key in self._announced:
            return ()
        if port:
            self._announced[key] = None
            if len(self._announced) > MAX_PROCESSES:
                self._announced.popitem(last=False)
        return (self._row(source, port, at(), logins=(times, times)),)

    def _source(self, message: str) -> tuple[Host, int]:
        """Address and port that sshd put behind the name."""
        head, between, last = message.rpartition(" from ")
        words = last.split(" ")
        if len(words) == 4 and words[1] == "port" and words[3] == "ssh2" and " port " not in head:
            # As nearly all are.
            return host(words[0]), digits(words[2], 65535, "port")
        found = _BEHIND.match(last) if between else None
        if found is None:
            raise LineRefused("shape")
        # The name itself may say "from ADDRESS port N": then it can't be told who is who.
        if _CLAIMED.search(head + " "):
            raise LineRefused("ambiguous")
        return host(found[1]), digits(found[2] or "0", 65535, "port")

    def _pam(self, message: str, times: int, at: Callable[[], int]) -> Iterable[Sighting]:
        found = _SERVICE.match(message)
        if found is None or not found[2] or found[1] in SSH or found[1] not in PAM_PORTS:
            return ()  # sshd says the same in words of its own
        source = _RHOST.search(message)
        if source is None:
            return ()  # a login on the host itself
        if message.count(" rhost=") > 1:
            raise LineRefused("ambiguous")  # the names before and behind it are the stranger's
        row = self._row(host(source[1]), 0, at(), logins=(times, times), port=PAM_PORTS[found[1]])
        return (row,)

    def _learn(self, message: str) -> None:
        found = _LOCAL.match(message)
        if found:
            local = host(found[1])
            self._local[local.version] = str(local.value)
            self._port = digits(found[2], 65535, "port")
            return
        found = _LISTENING.match(message)
        if found:
            self._port = digits(found[1], 65535, "port")

    def _row(
        self,
        source: Host,
        source_port: int,
        at_us: int,
        *,
        logins: tuple[int, int] = (0, 0),
        port: int | None = None,
    ) -> bytes:
        local = self._local.get(source.version)
        target = self._options.public(source.version) or (
            host(local) if local else self._options.this_host(source.version)
        )
        # The service spoke with the peer, so the handshake was complete.
        extra: dict[str, Any] = {"indicators": SSH_BANNER} if port is None else {}
        return pack_row(
            at_us=at_us,
            source=source,
            target=target,
            protocol=TCP,
            state=STATE["S1"],
            ports=(source_port, self._port if port is None else port),
            flags=(_SEEN, _SEEN),
            packets=(1, 1),
            logins=logins,
            conversation=True,
            **extra,
        )
