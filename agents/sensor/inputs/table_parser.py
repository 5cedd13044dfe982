"""One parser for every format that a table describes (`format_tables`): honeypots, web servers.

What a table can't say is the same for all: whom a line accuses, what is verified, which logins the
analyzer counts. A decoy accepted the connection before it wrote, so TCP proves who came; a datagram
proves nothing, and whom a relay names is a claim.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache, partial
from ipaddress import IPv6Address
from typing import Any

from agents.sensor.inputs.events import (
    ACK,
    FIN,
    LONGEST_ADDRESS,
    PSH,
    SSH_BANNER,
    STATE,
    SYN,
    TCP,
    UNRELATED,
    Claim,
    Host,
    LineRefused,
    Options,
    Sighting,
    Traces,
    address_port,
    clean,
    digits,
    host,
    iso_us,
    pack,
    seconds_us,
    whole,
)
from agents.sensor.inputs.format_tables import Event, Table, first_of, getter
from agents.sensor.inputs.nat_gateways import is_own_gateway
from agents.sensor.inputs.observed_traces import credential
from agents.sensor.inputs.quoted_csv import QuotedCsv
from agents.sensor.inputs.relays import Relays, said
from agents.sensor.inputs.stamps import stamp
from agents.sensor.inputs.text_lines import TextLines
from agents.sensor.inputs.wrappers import event_object
from agents.sensor.payloads.request_reader import RequestReader

SSH_PORTS = frozenset({22, 2222})
LOGIN_PORTS = SSH_PORTS | {
    *(20, 21, 2121, 23, 2323, 25, 110, 143, 445, 465, 587, 993, 995),
    *(80, 443, 1433, 3306, 3389, 5432, 6379, 8080, 8443),
}
"""Where the analyzer counts refused logins by itself; a login anywhere else is a claim."""
_SEEN = SYN | ACK | PSH
_NOTHING_COUNTED = (0, 0, 0, 0)
_ROWS = {
    "connection": (STATE["S1"], _SEEN, _SEEN, 2, 1, *_NOTHING_COUNTED),
    "activity": (STATE["S1"], _SEEN, _SEEN, 1, 1, *_NOTHING_COUNTED),
    "session": (STATE["SF"], _SEEN | FIN, _SEEN | FIN, 3, 2, *_NOTHING_COUNTED),
    "packet": (STATE["S0"], SYN, 0, 1, 0, *_NOTHING_COUNTED),
}
"""State, flags, packets, bytes and probes of a row (`events.pack`)."""
_DATAGRAM = (STATE["OTH"], 0, 0, 1, 0, *_NOTHING_COUNTED)
_ANYWHERE = frozenset({host("0.0.0.0").packed, host("::").packed})  # noqa: S104
_REFUSED = (401, "401")
_LONGEST_TIME = 64
_LONGEST_URL = 4096

LEAVES = {"command": "commands", "url": "urls", "hash": "file_hashes", "client": "clients"}
"""Fields of tables to those of `ObservedData`."""

Get = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Kind:
    """An event of the table with its conditions ready to be asked."""

    event: Event
    where: tuple[tuple[Get, frozenset[object], tuple[str, ...], bool | None], ...]
    quiet: bool


class TableParser:
    """Kept: for whom relays spoke, and whether a quoted field goes on in the next line."""

    now_us = 0

    def __init__(
        self,
        options: Options,
        table: Table,
        *,
        quick: Callable[[bytes], dict[str, Any] | None] | None = None,
    ) -> None:
        """``quick``: gives what the table's pattern would, or None where it isn't sure."""
        self.kind = table.kind
        self._options = options
        self._table = table
        self._zone = UTC if table.utc else options.timezone
        self._relays = Relays()
        self._csv = QuotedCsv(table.columns)
        self._requests = RequestReader() if table.marks else None
        self._when = lru_cache(maxsize=4096)(self._stamp)
        self._ends_known = lru_cache(maxsize=8192)(self._target_of)
        self._service_known = lru_cache(maxsize=2048, typed=True)(self._service_of)
        self._get: dict[str, Get] = {name: first_of(paths) for name, paths in table.fields.items()}
        nothing: Get = _nothing
        (
            self._time, self._source, self._source_port, self._peer, self._target,
            self._target_port, self._transport, self._service, self._forwarded, self._status,
            self._url,
        ) = (
            self._get.get(name, nothing)
            for name in (
                *("time", "source", "source_port", "peer", "target", "target_port", "transport"),
                *("service", "forwarded", "status", "url"),
            )
        )  # fmt: skip
        self._may_relay = self._forwarded is not nothing
        self._leaves = tuple(
            (kind, self._get[name]) for name, kind in LEAVES.items() if name in self._get
        )
        pair = ("user", "password")
        self._user, self._password = (self._get.get(name, nothing) for name in pair)
        # Bytes are hashed in C, addresses in Python.
        self._pots = frozenset(host(str(pot)).packed for pot in options.honeypots)
        self._key = table.key
        self._by = getter(table.by) if table.by else nothing
        self._others = tuple(map(_ready, table.others))
        self._named = {value: tuple(map(_ready, found)) for value, found in table.named.items()}
        readers: dict[str, Callable[[bytes], Any]] = {
            "json": partial(event_object, key=table.key),
            "csv": self._csv.read,
            "text": TextLines(table.pattern, quick).read,
        }
        self._read = readers[table.form]
        self._unnamed = {
            version: options.public(version)
            or options.public(10 - version)
            or options.this_host(version)
            for version in (4, 6)
        }
        """Whom a visitor of either family called, where the log does not say."""

    def memory(self) -> str:
        relays = self._relays.memory()
        inside = self._csv.inside
        return json.dumps([inside, relays]) if inside or relays else ""

    def remember(self, memory: str) -> None:
        """Raises: ValueError."""
        if not memory:
            return
        inside, relays = json.loads(memory)
        self._csv.inside = inside is True
        self._relays.remember(str(relays))
        self._may_relay = self._may_relay or bool(self._relays)

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        event = self._read(line)
        if type(event) is not dict:
            return event  # type: ignore[no-any-return]  # why there is none
        if self._key and self._key not in event:
            return UNRELATED
        kind = self._pick(event)
        if kind is None or kind.quiet:
            return ()
        return self._sightings(event, kind.event)

    def _pick(self, event: Mapping[str, Any]) -> _Kind | None:
        if self._named:
            value = self._by(event)
            if type(value) is str or type(value) is int:
                for kind in self._named.get(value, ()):
                    if not kind.where or _holds(event, kind):
                        return kind
        for kind in self._others:
            if not kind.where or _holds(event, kind):
                return kind
        return None

    def _sightings(self, event: Mapping[str, Any], kind: Event) -> Iterable[Sighting]:
        table = self._table
        at_us = self._at(self._time(event))
        source, source_port = self._visitor(event)
        word = _short(self._transport(event))
        service = word
        if self._service is not self._transport:
            service = _short(self._service(event))
        said_port = self._target_port(event)
        known = said_port is None or type(said_port) is str or type(said_port) is int
        number, port, ssh = (self._service_known if known else self._service_of)(
            word, service, said_port, kind.transport, kind.port
        )
        target = self._decoy(event, source)
        proven = table.proven and number == TCP and kind.row != "packet"
        relay = self._relay(event, source, port) if self._may_relay else None
        out: list[Sighting] = []
        marks = 0 if self._requests is None else self._marks(event, self._requests)
        refused = kind.login or (self._status is not _nothing and self._status(event) in _REFUSED)
        kept = table.decoy or marks or refused or target.packed in self._pots
        left = self._left(event, kind) if kept else ()
        if left:
            proof = proven and relay is None
            out.append(Traces(source, target, port, at_us, proof, left))
        place = (source, target, port or None, number, at_us)
        if relay is not None:
            words = f"{self._words(event, kind)}; {said(source.value, relay)}"
            out += self._relayed(kind, place, words)
            return out
        counted = port in LOGIN_PORTS
        if kind.row:
            # Of the source's family, even if the target is of the other.
            out.append(
                pack(
                    at_us,
                    0,
                    source.packed,
                    target.packed,
                    source_port,
                    port,
                    number,
                    source.version,
                    *(_ROWS[kind.row] if number == TCP else _DATAGRAM),
                    counted and refused,
                    counted and (refused or kind.accepted),
                    SSH_BANNER | marks if ssh else marks,
                    proven,
                )
            )
        if kind.classification:
            words = self._words(event, kind)
            out.append(Claim(kind.classification, *place, kind.confidence, proven, words))
        elif kind.login and not counted:
            words = f"{table.title}: a login tried at port {port}"
            out.append(Claim("BruteForce", *place, 0.6, proven, words))
        return out

    def _service_of(
        self, word: str, service: str, said: object, transport: int | None, port: int | None
    ) -> tuple[int, int, bool]:
        """Protocol, port, and whether it is SSH, of what a line says of them and what its kind
        means. Raises: LineRefused."""
        table = self._table
        number = table.transports.get(word.lower(), transport or table.transport)
        service = service.lower()
        port = _port(said) or port or table.services.get(service, 0)
        port = table.ports.get(port, port or table.port)
        return number, port, number == TCP and (port in SSH_PORTS or service == "ssh")

    def _words(self, event: Mapping[str, Any], kind: Event) -> str:
        words = f"{self._table.title}: {kind.words or 'a visit'}"
        for name in kind.shows:
            words += f" {clean(_text(self._get[name](event)), 80)!r}"
        return words

    def _left(self, event: Mapping[str, Any], kind: Event) -> tuple[tuple[str, object], ...]:
        """What he left behind, as far as the table says where it stands."""
        left = []
        opens = kind.row == "connection"
        for what, get in self._leaves:
            value = get(event)
            # What only opens a connection ran nothing, whatever the field says.
            if value not in (None, "", "-") and not (opens and what == "commands"):
                left.append((what, value))
        if self._password is not _nothing:
            user, password = self._user(event), self._password(event)
            if password or (user and kind.login):
                left.append(("credentials", credential(user, password)))
        return tuple(left)

    def _relayed(
        self, kind: Event, place: tuple[Host, Host, int | None, int, int], words: str
    ) -> Iterable[Sighting]:
        """What a relay carried is no connection of its own, and proves nothing against it."""
        if kind.classification:
            return (Claim(kind.classification, *place, kind.confidence, False, words),)
        if place[1].packed not in self._pots:
            return ()
        return (Claim("HoneypotContact", *place, 0.4, False, words),)

    def _relay(self, event: Mapping[str, Any], source: Host, port: int) -> str | None:
        value = self._forwarded(event)
        if isinstance(value, list):
            value = value[0] if value else None
        claimed = None
        if isinstance(value, str) and value.strip(" -"):
            claimed = clean(value, 80)
        if claimed is None and not self._relays:
            return None
        return self._relays.judge(str(source.value), port, None, claimed)

    def _visitor(self, event: Mapping[str, Any]) -> tuple[Host, int]:
        text = self._source(event)
        if text is None:
            text = self._peer(event)
            if not isinstance(text, str) or len(text) > 80:
                raise LineRefused("address")
            source, port = address_port(text, ported=True)
            return source, port or 0
        return host(text), _port(self._source_port(event))

    def _decoy(self, event: Mapping[str, Any], source: Host) -> Host:
        """Whom he called; where the decoy listens ("0.0.0.0") says nothing of that."""
        text = self._target(event)
        if text is None or (type(text) is str and len(text) <= LONGEST_ADDRESS):
            return self._ends_known(text, source.packed)
        return self._target_of(text, source.packed)

    def _target_of(self, text: object, packed: bytes) -> Host:
        source = host(str(IPv6Address(packed)))
        local = None if text in (None, "", "-") else host(text)
        if local is None or local.packed in _ANYWHERE:
            target = local = self._unnamed[source.version]
        else:
            target = self._options.decoy(local, source.version)
        if is_own_gateway(source, local):
            raise LineRefused("translated")
        return target

    def _marks(self, event: Mapping[str, Any], requests: RequestReader) -> int:
        """Attack strings in what he asked for, as bits of ``records.INDICATORS``."""
        url = self._url(event)
        if not isinstance(url, str) or not url:
            return 0
        line = b"GET " + url[:_LONGEST_URL].encode("utf-8", "replace").replace(b"\r", b" ")
        return requests.of_line(line + b" HTTP/1.1")

    def _at(self, value: object) -> int:
        if not isinstance(value, str):
            return seconds_us(value)
        if 19 <= len(value) <= 40 and value[13] == ":" and value[4] == "-":
            try:
                return iso_us(value, self._zone)
            except LineRefused:
                pass  # with a zone's name behind it
        if not 0 < len(value) <= _LONGEST_TIME:
            raise LineRefused("time")
        return self._when(value)

    def _stamp(self, text: str) -> int:
        return stamp(text, self._zone, self.now_us)[0]


def _nothing(_: Any) -> None:
    return None


def _ready(event: Event) -> _Kind:
    return _Kind(
        event,
        tuple((getter(name), whole, begins, there) for name, whole, begins, there in event.where),
        event.quiet,
    )


def _holds(event: Mapping[str, Any], kind: _Kind) -> bool:
    for get, values, begins, there in kind.where:
        value = get(event)
        if there is not None:
            if bool(value) != there:
                return False
        elif type(value) not in (str, int):
            return False
        elif value not in values and not (
            begins and isinstance(value, str) and value.lower().startswith(begins)
        ):
            return False
    return True


def _port(value: object) -> int:
    """0 where the log has none. Raises: LineRefused."""
    if type(value) is str and len(value) <= 5 and value.isdigit() and value.isascii():
        number = int(value)
        if number <= 65535:
            return number
    if type(value) is int:
        return 0 if value == -1 else whole(value, 65535, "port")
    if value is None or value in ("", "-", "-1"):
        return 0
    if not isinstance(value, str):
        raise LineRefused("port")
    return digits(value, 65535, "port")


def _short(value: object) -> str:
    return value[:40] if type(value) is str else ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)[:200]
