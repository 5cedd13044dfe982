"""Formats of logs as tables: which field says what, and what each event gives.

A table is a TOML file (docs/inputs.md, "A table of your own"). It is checked when it is loaded, so
that a slip stops the sensor at its start with the place, and not at the line that needed it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from operator import methodcaller
from typing import Any, Final, Literal

import re2

from agents.sensor.inputs.events import clean
from ontology.taxonomy import ATTACK_CLASSES

FORMS: Final = ("json", "csv", "text")
FIELDS: Final = (
    *("time", "source", "source_port", "peer", "target", "target_port", "transport", "service"),
    *("forwarded", "status", "user", "password", "command", "url", "hash", "client"),
)
"""Our names; ``peer`` is address and port in one text, ``forwarded`` for whom a relay asks."""
GIVES: Final = (
    *("connection", "session", "activity", "packet"),
    *("login", "accepted", "claim", "nothing"),
)
_ROWS = frozenset({"connection", "session", "activity", "packet"})
TRANSPORTS: Final = {"tcp": 6, "tls": 6, "udp": 17}
MAX_BYTES = 64 << 10
"""Of a table."""
_TOP = frozenset(
    {
        *("title", "documented", "form", "key", "by", "columns", "pattern", "transport", "port"),
        *(
            "timezone",
            "fields",
            "ports",
            "transports",
            "services",
            "event",
            "marks",
            "proven",
            "decoy",
        ),
    }
)
_EVENT = frozenset(
    {"is", "where", "gives", "class", "confidence", "words", "shows", "port", "transport"}
)
_BY_BYTES = re2.Options()
_BY_BYTES.log_errors = False
# A byte that is no UTF-8 hides nothing, and no text has to be counted in characters.
_BY_BYTES.encoding = re2.Options.Encoding.LATIN1
Where = tuple[tuple[str, frozenset[object], tuple[str, ...], bool | None], ...]
"""(field of theirs, values it may have, beginnings it may have, whether it must be there)."""


class TableError(ValueError):
    """A table can't be used; the message is one line that names the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What one kind of event is, and what it gives."""

    where: Where = ()
    row: Literal["connection", "session", "activity", "packet", ""] = ""
    """The connection that it speaks of: opened, over, going on, or one packet without an answer."""
    login: bool = False
    accepted: bool = False
    classification: str = ""
    """Of the claim; empty: no claim."""
    confidence: float = 0.0
    words: str = ""
    shows: tuple[str, ...] = ()
    """Fields of ours that stand behind the words."""
    port: int | None = None
    """The decoy's port, where the log names none."""
    transport: int | None = None

    @property
    def quiet(self) -> bool:
        """It gives nothing."""
        return not (self.row or self.login or self.classification)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One format."""

    kind: str
    title: str
    form: str
    key: str
    """JSON: a field that no other kind of line has, at the top of the event."""
    by: str
    """The field of theirs by whose value events are told apart; empty: by ``where`` alone."""
    columns: tuple[str, ...]
    pattern: Any
    """re2, for bytes; its groups are the fields of theirs."""
    transport: int
    port: int
    utc: bool
    """Times without a zone are UTC whatever the input's zone is."""
    marks: bool
    """Attack strings in the ``url`` are marked on the connection, as the sensor does by itself."""
    proven: bool
    """Who came by TCP is sure; false where the address may be what a header said."""
    decoy: bool
    """Nobody has business there: what any visitor left is kept. Else only what attacks, or what was
    left at a honeypot."""
    fields: Mapping[str, tuple[str, ...]]
    """Ours to theirs, dotted; the first that is there counts."""
    ports: Mapping[int, int]
    """The decoy's own port to the one that strangers see."""
    transports: Mapping[str, int]
    services: Mapping[str, int]
    """What the log calls a service, to the port that it has by default."""
    named: Mapping[object, tuple[Event, ...]]
    """By the value of ``by``; the first whose ``where`` holds counts."""
    others: tuple[Event, ...]


def load_table(text: str, kind: str) -> Table:
    """A table from TOML. Raises: TableError."""
    if len(text) > MAX_BYTES:
        raise TableError(f"{kind}: over {MAX_BYTES} characters")
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as e:
        raise TableError(clean(f"{kind}: {e}", 300)) from e
    return _Reading(kind, raw).table()


@cache
def shipped_table(kind: str) -> Table:
    """A table that comes with the program. Raises: TableError."""
    path = files("agents.sensor.inputs").joinpath("formats").joinpath(f"{kind}.toml")
    return load_table(path.read_text(encoding="utf-8"), kind)


class _Reading:
    """One table while it is read: what is asked of it is checked, and what is left is a slip."""

    def __init__(self, kind: str, raw: Mapping[str, Any]) -> None:
        self._kind = kind
        self._raw = raw

    def _fail(self, what: str) -> TableError:
        return TableError(clean(f"{self._kind}: {what}", 300))

    def _get(self, place: str, raw: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
        value = raw.get(name, default)
        if type(value) is not kind:
            raise self._fail(f"{place}{name} must be of type {kind.__name__}")
        return value

    def _known(self, place: str, raw: Mapping[str, Any], names: frozenset[str]) -> None:
        strange = sorted(set(raw) - names)
        if strange:
            raise self._fail(f"{place}no key is called {strange[0]!r}")

    def table(self) -> Table:
        raw = self._raw
        self._known("", raw, _TOP)
        form = self._get("", raw, "form", str, "json")
        if form not in FORMS:
            raise self._fail(f"form is one of {', '.join(FORMS)}, not {form!r}")
        key = self._get("", raw, "key", str, "")
        if (form == "json") != bool(key):
            raise self._fail("key names a field of the event in form json, and only there")
        by = self._get("", raw, "by", str, "")
        fields = {
            name: self._names(f"fields.{name}", value)
            for name, value in self._get("", raw, "fields", dict, {}).items()
        }
        self._known("fields: ", fields, frozenset(FIELDS))
        if "time" not in fields or not {"source", "peer"} & set(fields):
            raise self._fail("fields must say where time and source (or peer) stand")
        columns, pattern = self._layout(form, fields, by)
        ports = {
            self._port(place, int(name) if name.isdecimal() else -1): self._port(place, port)
            for name, port in self._get("", raw, "ports", dict, {}).items()
            for place in (f"ports.{name}",)
        }
        transports = {
            name: self._transport(f"transports.{name}", value)
            for name, value in self._get("", raw, "transports", dict, {}).items()
        }
        services = {
            name: self._port(f"services.{name}", value)
            for name, value in self._get("", raw, "services", dict, {}).items()
        }
        named: dict[object, list[Event]] = {}
        others: list[Event] = []
        events = self._get("", raw, "event", list, [])
        if not events:
            raise self._fail("a table needs an [[event]]")
        for number, event in enumerate(events, 1):
            self._event(number, event, by, fields, named, others)
        zone = self._get("", raw, "timezone", str, "")
        if zone not in ("", "UTC"):
            raise self._fail("timezone is UTC, or left to the input")
        return Table(
            kind=self._kind,
            title=self._get("", raw, "title", str, self._kind),
            form=form,
            key=key,
            by=by,
            columns=columns,
            pattern=pattern,
            transport=self._transport("transport", raw.get("transport", "tcp")),
            port=self._port("port", raw.get("port", 0)),
            utc=zone == "UTC",
            marks=self._get("", raw, "marks", bool, False),
            proven=self._get("", raw, "proven", bool, True),
            decoy=self._get("", raw, "decoy", bool, True),
            fields=fields,
            ports=ports,
            transports={**TRANSPORTS, **transports},
            services=services,
            named={value: tuple(found) for value, found in named.items()},
            others=tuple(others),
        )

    def _layout(
        self, form: str, fields: Mapping[str, tuple[str, ...]], by: str
    ) -> tuple[tuple[str, ...], Any]:
        """Columns or pattern, which hold every field that is asked for."""
        words = self._get("", self._raw, "columns", str, "")
        text = self._get("", self._raw, "pattern", str, "")
        if (form == "csv") != bool(words) or (form == "text") != bool(text):
            raise self._fail("columns belong to form csv, a pattern to form text")
        if form == "json":
            return (), None
        names = tuple(words.split())
        pattern = None
        if form == "text":
            try:
                pattern = re2.compile(text.encode("latin-1"), _BY_BYTES)
            except (re2.error, UnicodeEncodeError) as e:
                raise self._fail(f"pattern: {e}") from e
            names = tuple(name.decode() for name in pattern.groupindex)
        asked = {name for several in fields.values() for name in several} | ({by} - {""})
        missing = sorted(asked - set(names))
        if missing:
            raise self._fail(f"no column or group is called {missing[0]!r}")
        return names, pattern

    def _names(self, place: str, value: object) -> tuple[str, ...]:
        several = value if isinstance(value, list) else [value]
        if not several or not all(isinstance(name, str) and name for name in several):
            raise self._fail(f"{place} is the name of a field of theirs, or several")
        return tuple(several)

    def _port(self, place: str, value: object) -> int:
        if type(value) is not int or not 0 <= value <= 65535:
            raise self._fail(f"{place}: a port lies in [0, 65535]")
        return value

    def _transport(self, place: str, value: object) -> int:
        if not isinstance(value, str) or value not in TRANSPORTS:
            raise self._fail(f"{place} is one of {', '.join(TRANSPORTS)}")
        return TRANSPORTS[value]

    def _event(
        self,
        number: int,
        raw: object,
        by: str,
        fields: Mapping[str, tuple[str, ...]],
        named: dict[object, list[Event]],
        others: list[Event],
    ) -> None:
        place = f"event {number}: "
        if not isinstance(raw, dict):
            raise self._fail(f"{place}not a table")
        self._known(place, raw, _EVENT)
        gives = raw.get("gives", [])
        gives = gives if isinstance(gives, list) else [gives]
        if not gives or not all(isinstance(word, str) and word in GIVES for word in gives):
            raise self._fail(f"{place}gives is some of {', '.join(GIVES)}")
        rows = [word for word in gives if word in _ROWS]
        if len(rows) > 1 or ("nothing" in gives and len(gives) > 1):
            raise self._fail(f"{place}an event gives one connection at most")
        name = self._get(place, raw, "class", str, "")
        confidence = self._get(place, raw, "confidence", float, 0.0)
        if ("claim" in gives) != bool(name) or (name and name not in ATTACK_CLASSES):
            raise self._fail(f"{place}a claim, and nothing else, has a class of attack")
        if bool(name) != (0.0 < confidence <= 1.0):
            raise self._fail(f"{place}the confidence of a claim lies in (0, 1]")
        shows = self._names(f"{place}shows", raw["shows"]) if "shows" in raw else ()
        strange = sorted(set(shows) - set(fields))
        if strange:
            raise self._fail(f"{place}shows: fields don't say what {strange[0]!r} is")
        port, transport = raw.get("port"), raw.get("transport")
        event = Event(
            where=self._where(place, self._get(place, raw, "where", dict, {})),
            row=rows[0] if rows else "activity" if {"login", "accepted"} & set(gives) else "",
            login="login" in gives,
            accepted="accepted" in gives,
            classification=name,
            confidence=confidence,
            words=self._get(place, raw, "words", str, ""),
            shows=shows,
            port=None if port is None else self._port(f"{place}port", port),
            transport=None if transport is None else self._transport(place, transport),
        )
        if "is" not in raw:
            others.append(event)
            return
        values = raw["is"] if isinstance(raw["is"], list) else [raw["is"]]
        if not by or not all(type(value) in (str, int) for value in values):
            raise self._fail(f"{place}is: a text or number that the field named in by may have")
        for value in values:
            named.setdefault(value, []).append(event)

    def _where(self, place: str, raw: Mapping[str, Any]) -> Where:
        out: list[tuple[str, frozenset[object], tuple[str, ...], bool | None]] = []
        for name, wanted in raw.items():
            if isinstance(wanted, bool):
                out.append((name, frozenset[object](), (), wanted))
                continue
            values = wanted if isinstance(wanted, list) else [wanted]
            if not values or not all(type(value) in (str, int) for value in values):
                raise self._fail(f"{place}where.{name}: true, false, a text, a number, or several")
            begins = tuple(
                value[:-1].lower()
                for value in values
                if isinstance(value, str) and value.endswith("*")
            )
            whole = frozenset(
                value for value in values if not (isinstance(value, str) and value.endswith("*"))
            )
            out.append((name, whole, begins, None))
        return tuple(out)


def getter(path: str) -> Callable[[Any], Any]:
    """What stands at a dotted place of an event; None where there is nothing. Of a list its first
    element counts."""
    parts = path.split(".")
    if len(parts) == 1:
        return methodcaller("get", path)
    first, second, *rest = parts
    if not rest:

        def inner(event: Any) -> Any:
            found = event.get(first)
            if type(found) is dict:
                return found.get(second)
            return _walk(event, parts) if type(found) is list else None

        return inner
    return lambda event: _walk(event, parts)


def first_of(paths: tuple[str, ...]) -> Callable[[Any], Any]:
    """The first of several places at which something stands."""
    gets = tuple(map(getter, paths))
    if len(gets) == 1:
        return gets[0]
    if not any("." in path for path in paths):
        # Without a call for each.
        def there(event: Any) -> Any:
            for path in paths:
                value = event.get(path)
                if value is not None and value != "":
                    return value
            return None

        return there

    steps = tuple(
        (parts[0], parts[1] if len(parts) == 2 else None, get if len(parts) > 1 else None)
        for parts, get in zip((path.split(".") for path in paths), gets, strict=True)
    )

    def found(event: Any) -> Any:
        for first, second, get in steps:
            value = event.get(first)
            if value is None:
                continue
            if get is not None:
                # Only what lies deep, or in a list, takes a call.
                if second is not None and type(value) is dict:
                    value = value.get(second)
                else:
                    value = get(event) if type(value) in (dict, list) else None
            if value is not None and value != "":
                return value
        return None

    return found


def _walk(found: Any, parts: list[str]) -> Any:
    for name in parts:
        if isinstance(found, list):
            found = found[0] if found else None
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found
