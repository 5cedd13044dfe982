"""The Linux audit log: programs started, connections opened, files made, logins.

Formats: ``audit.log`` of auditd (raw and enriched), what audispd hands to syslog, the kernel's own
log where no auditd runs, and journald's audit stream (``journalctl -o json _TRANSPORT=audit``). One
event is several lines of one time and number (``msg=audit(TIME:NUMBER)``), which may come mixed
with others', in any order, and without an end: it is put together when its last line is there
(PROCTITLE or EOE), or when the log is two seconds further, as auparse(3) does.

Whoever has taken the host can have anything written here: what comes of it is told and explains,
and no address is verified by it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, ClassVar, Final

from agents.sensor.inputs import audit_fields as fields_of
from agents.sensor.inputs.audit_fields import SEPARATOR, UNSET, identity, untrusted, words
from agents.sensor.inputs.events import (
    UNRELATED,
    Host,
    LineRefused,
    Options,
    Sighting,
    host,
)
from agents.sensor.inputs.host_sightings import HostSighting, host_of
from agents.sensor.inputs.logins_log import program_of
from agents.sensor.inputs.wrappers import event_object, plain_line
from ontology.host_event import HostEventKind
from ontology.records import MAX_TIME_US

MAX_PENDING: Final = 512
"""Events put together at once."""
MAX_RECORDS: Final = 64
"""Lines of one event that are kept."""
MAX_SESSIONS: Final = 256
WAIT_S: Final = 2
"""How much further the log is when an event without an end is complete (auparse's default)."""
_LONGEST = 16_384
"""The kernel writes at most 8,970 bytes (MAX_AUDIT_MESSAGE_LENGTH), auditd twice that."""
_WRAPPED = 65_536
_MEMORY = 40_000
"""Characters of the state kept between stretches that unfinished events may take."""
_PARTS = frozenset({b"SYSCALL", b"EXECVE", b"SOCKADDR", b"CWD", b"PATH", b"PROCTITLE"})
_ENDS = frozenset({b"PROCTITLE", b"EOE"})
_SUBJECTS = frozenset({b"EXECVE", b"SOCKADDR", b"PATH"})
_LOGINS = frozenset({b"USER_LOGIN", b"USER_START", b"USER_END", b"USER_LOGOUT"})
_WRITERS = frozenset({"audispd", "audisp-syslog", "auditd", "audit", "kernel"})
"""Programs whose syslog lines hold records."""
_FILE_MODE = b"0100"


class AuditParser:
    """Keeps unfinished events and where sessions were opened from."""

    kind: ClassVar[str] = "audit"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._host = host_of(options)
        self._pending: OrderedDict[bytes, list[tuple[bytes, bytes]]] = OrderedDict()
        self._sessions: OrderedDict[str, str] = OrderedDict()
        """Session to the address it was opened from."""
        self.now_us = 0

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        if line[:5] != b"type=":
            found = self._unwrapped(line)
            if found is None:
                return UNRELATED
            line = found
        if len(line) > _LONGEST:
            raise LineRefused("overlong")
        space = line.find(b" ", 5)
        kind = line[5:space]
        begin = line.find(b"audit(", space, space + 12) + 6
        end = line.find(b")", begin, begin + 40)
        if space < 0 or begin < 6 or end < 0:
            raise LineRefused("shape")
        stamp = line[begin:end]
        if kind not in _PARTS and kind != b"EOE":
            kind = _name(kind)
            if kind in _LOGINS:
                return self._login(kind, stamp, line[end + 1 :])
            if kind == b"LOGIN":
                self._new_session(line[end + 1 :])
            elif kind == b"SYSTEM_BOOT":
                self._sessions.clear()  # numbers begin anew
            if kind not in _PARTS and kind != b"EOE":
                return ()
        return self._part(kind, stamp, line, end + 1)

    def _part(self, kind: bytes, stamp: bytes, line: bytes, at: int) -> Iterable[Sighting]:
        if kind == b"PATH" and b"type=CREATE" not in line:
            return ()  # "nametype", "objtype" in some releases
        pending = self._pending
        records = pending.get(stamp)
        late: list[Sighting] = []
        if records is None:
            if kind == b"EOE":
                return ()
            _time(stamp)
            if pending:
                late = self._overdue(stamp)
            records = pending[stamp] = []
        if kind in _ENDS:
            if kind == b"PROCTITLE" and len(records) < MAX_RECORDS:
                records.append((kind, line[at:]))
            kinds = {found for found, _ in records}
            if b"SYSCALL" in kinds:
                seen = self._event(stamp, records)
                late += seen
                # What the call was about may still come, if lines are not in order.
                if seen or kinds & _SUBJECTS:
                    del pending[stamp]
        elif len(records) < MAX_RECORDS:
            records.append((kind, line[at:]))
        return late

    def _overdue(self, stamp: bytes) -> list[Sighting]:
        """What earlier events give that will get no more lines."""
        out: list[Sighting] = []
        now = int(stamp[:10])
        while self._pending:
            oldest = next(iter(self._pending))
            if len(self._pending) < MAX_PENDING and now - int(oldest[:10]) <= WAIT_S:
                break
            out += self._event(oldest, self._pending.pop(oldest))
        return out

    def _event(self, stamp: bytes, records: list[tuple[bytes, bytes]]) -> list[Sighting]:
        parts: dict[bytes, bytes] = {}
        for kind, body in records:
            parts.setdefault(kind, body)
        call = parts.get(b"SYSCALL")
        if call is None:
            return []
        raw, _, added = call.partition(SEPARATOR)
        fields = words(raw)
        names = words(added) if added else {}
        if b"EXECVE" in parts:
            if fields.get(b"success") == b"no":
                return []
            command = fields_of.arguments([body for kind, body in records if kind == b"EXECVE"])
            return [self._sighting("execution", stamp, fields, names, command_line=command)]
        title = words(parts.get(b"PROCTITLE", b"")).get(b"proctitle", b"")
        command = untrusted(title)
        if b"SOCKADDR" in parts and self._connects(fields, names):
            raw = parts[b"SOCKADDR"].partition(SEPARATOR)[0]
            where = fields_of.socket_address(words(raw).get(b"saddr", b""))
            # An unspecified address or port 0 asks for the way there, and sends nothing.
            if where is None or where[0].value.is_unspecified or not where[1]:
                return []
            address, port = where
            seen = self._sighting("connection", stamp, fields, names, command_line=command)
            return [
                seen._replace(
                    host=host_of(self._options, address.version),
                    target=address,
                    target_port=port,
                    succeeded=fields_of.connected(fields),
                )
            ]
        if b"PATH" in parts and fields.get(b"success") == b"yes":
            path = self._made(parts[b"PATH"], parts.get(b"CWD", b""))
            if path:
                seen = self._sighting("file-creation", stamp, fields, names, command_line=command)
                return [seen._replace(file_path=path)]
        return []

    def _connects(self, fields: dict[bytes, bytes], names: dict[bytes, bytes]) -> bool:
        name = names.get(b"SYSCALL")
        if name is not None:
            return name in fields_of.CONNECTING_NAMES
        return (fields.get(b"arch", b""), fields.get(b"syscall", b"")) in fields_of.CONNECTING

    def _made(self, path: bytes, directory: bytes) -> str:
        fields = words(path)
        if not fields.get(b"mode", b"").startswith(_FILE_MODE):
            return ""  # a directory, a link, a socket
        name = untrusted(fields.get(b"name", b""))
        if not name or name.startswith("/"):
            return name
        where = untrusted(words(directory).get(b"cwd", b""))
        return f"{where.rstrip('/')}/{name.removeprefix('./')}"

    def _sighting(
        self,
        kind: HostEventKind,
        stamp: bytes,
        fields: dict[bytes, bytes],
        names: dict[bytes, bytes],
        command_line: str = "",
    ) -> HostSighting:
        session = fields.get(b"ses", b"")
        name = "" if session in UNSET else session[:20].decode("ascii", "replace")
        source = self._sessions.get(name)
        return HostSighting(
            kind=kind,
            key=stamp.decode("ascii", "replace"),
            host=self._host,
            at_us=_time(stamp),
            source=host(source) if source else None,
            user=identity(fields, names, b"euid") or identity(fields, names, b"uid"),
            login=identity(fields, names, b"auid"),
            session=name,
            process=fields_of.process_number(fields.get(b"pid")),
            parent=fields_of.process_number(fields.get(b"ppid")),
            # The kernel says so of a file that is no more.
            program=untrusted(fields.get(b"exe", b"")).removesuffix(" (deleted)"),
            command_line=command_line,
        )

    def _login(self, kind: bytes, stamp: bytes, body: bytes) -> Iterable[Sighting]:
        raw, _, added = body.partition(SEPARATOR)
        head, quote, message = raw.partition(b" msg='")
        message = message.rstrip(b"\n").removesuffix(b"'")
        if not quote or b"'" in message:
            raise LineRefused("shape")
        # A name that holds a space is written in digits; a host's name is not always.
        if message.count(b" addr=") > 1 or message.count(b" res=") > 1:
            raise LineRefused("ambiguous")
        fields, said = words(head), words(message)
        address = _address(said.get(b"addr", b""))
        names = words(added) if added else {}
        seen = self._sighting("login", stamp, fields, names)._replace(
            program=untrusted(said.get(b"exe", b"")),
            source=address,
            host=host_of(self._options, address.version if address else None),
            succeeded=said.get(b"res") in (b"success", b"1"),
        )
        name = identity(words(b"auid=" + said[b"id"]), {}, b"auid") if b"id" in said else ""
        seen = seen._replace(user=untrusted(said.get(b"acct", b"")) or seen.login or name)
        if kind in (b"USER_END", b"USER_LOGOUT"):
            # sudo and su end sessions of their own inside one: they name no address.
            known = self._sessions.get(seen.session)
            if address is None or known != str(address.value) or kind != b"USER_END":
                return ()
            return (seen._replace(kind="logout"),)
        if not seen.succeeded:
            return (seen,) if kind == b"USER_LOGIN" else ()
        if address is None:
            return (seen,) if kind == b"USER_LOGIN" and seen.session else ()
        if not seen.session:
            return ()
        if self._sessions.get(seen.session) == str(address.value):
            return ()  # PAM and the login service both say so
        self._sessions[seen.session] = str(address.value)
        self._sessions.move_to_end(seen.session)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return (seen,)

    def _new_session(self, body: bytes) -> None:
        """The kernel gave out this number: who had it before a restart is not who has it now."""
        session = words(body).get(b"ses", b"")[:20].decode("ascii", "replace")
        self._sessions.pop(session, None)

    def _unwrapped(self, line: bytes) -> bytes | None:
        """The line as auditd writes it; None if it is none."""
        if len(line) > (_WRAPPED if line[:1] == b"{" else _LONGEST):
            raise LineRefused("overlong")
        if line[:1] == b"{":
            record = event_object(line, "_AUDIT_TYPE_NAME")
            if "_AUDIT_TYPE_NAME" in record:
                return _of_journal(record)
            if "_TRANSPORT" in record and "__CURSOR" in record:
                return None  # another program's entry of the journal
        text, _ = plain_line(line)
        if text.startswith("type="):
            return text.encode()
        begin = text.find("type=")
        if begin < 0:
            return None
        if text.startswith("node=") and text.find(" ") + 1 == begin:
            return text[begin:].encode()
        # Any program may write "type=" into the syslog.
        program, message = program_of(text, begin)
        if program is None:
            message = text.find(": ", 0, begin) + 2
            program = text[text.rfind(" ", 0, message - 1) + 1 : message - 2]
        if program not in _WRITERS or len(text[message:begin].split()) > 3:
            return None
        return text[begin:].encode()

    def memory(self) -> str:
        pending: list[list[str]] = []
        size = 0
        for stamp, records in reversed(self._pending.items()):
            row = [stamp.decode("latin-1")]
            row += [f"{kind.decode()} {body.decode('latin-1')}" for kind, body in records]
            size += len(json.dumps(row))
            if size > _MEMORY:
                break
            pending.append(row)
        return json.dumps([list(self._sessions.items()), pending[::-1]])

    def remember(self, memory: str) -> None:
        """Raises: ValueError."""
        if not memory:
            return
        sessions, pending = json.loads(memory)
        kept: OrderedDict[bytes, list[tuple[bytes, bytes]]] = OrderedDict()
        for stamp, *rows in pending[:MAX_PENDING]:
            _time(stamp.encode("latin-1"))
            split = [row.encode("latin-1").partition(b" ") for row in rows[:MAX_RECORDS]]
            kept[stamp.encode("latin-1")] = [(kind, body) for kind, _, body in split]
        self._sessions = OrderedDict(
            (str(name), str(host(address).value)) for name, address in sessions[:MAX_SESSIONS]
        )
        self._pending = kept


def _of_journal(record: dict[str, Any]) -> bytes:
    """The line as auditd would have written it. Raises: LineRefused."""
    kind, number = record.get("_AUDIT_TYPE_NAME"), record.get("_AUDIT_ID")
    at, message = record.get("_SOURCE_REALTIME_TIMESTAMP"), record.get("MESSAGE")
    if isinstance(message, list):
        try:
            message = bytes(message).decode("utf-8", "replace")
        except (ValueError, TypeError):
            raise LineRefused("shape") from None
    if not all(isinstance(one, str) for one in (kind, number, at, message)):
        raise LineRefused("shape")
    assert isinstance(at, str) and isinstance(number, str)  # noqa: S101
    assert isinstance(kind, str) and isinstance(message, str)  # noqa: S101
    if not (at.isdecimal() and number.isdecimal() and len(at) == 16 and len(number) <= 20):
        raise LineRefused("time")
    body = message.removeprefix(kind + " ")
    return f"type={kind} msg=audit({at[:10]}.{at[10:13]}:{number}): {body}".encode()


def _name(kind: bytes) -> bytes:
    """Types that were unknown to who wrote the line have their number only."""
    return fields_of.NUMBERS.get(kind.removeprefix(b"UNKNOWN[").removesuffix(b"]"), kind)


def _time(stamp: bytes) -> int:
    """Epoch microseconds of ``SECONDS.MILLISECONDS:NUMBER``. Raises: LineRefused."""
    when, colon, number = stamp.partition(b":")
    if len(when) != 14 or when[10:11] != b"." or not colon or not number.isdigit():
        raise LineRefused("time")
    if not (when[:10].isdigit() and when[11:].isdigit()):
        raise LineRefused("time")
    at = int(when[:10]) * 1_000_000 + int(when[11:]) * 1_000
    if at > MAX_TIME_US:
        raise LineRefused("time")
    return at


def _address(value: bytes) -> Host | None:
    try:
        return host(value.decode("ascii", "replace"))
    except LineRefused:
        return None
