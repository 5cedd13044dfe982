"""Lines that another program has wrapped in JSON of its own, unwrapped.

Filebeat and Logstash (``message``, ``event.original``), Docker's ``json-file`` driver (``log``),
``journalctl -o json`` (``MESSAGE``), documents exported from Elasticsearch (``_source``), in any
nesting that occurs.
"""

from __future__ import annotations

from typing import Any

from agents.sensor.inputs.events import LineRefused, iso_us, json_object, text_of

_DEPTH = 4
"""Journald in Filebeat in Elasticsearch, and one for good measure."""
_TEXTS = ("message", "log", "MESSAGE", "_raw")
_LONGEST_NAME = 64


def event_object(line: bytes, key: str) -> dict[str, Any]:
    """The event in ``line``: an object that has ``key``, wrapped or not; what is there if none has.

    Only what lacks ``key`` itself is looked into: a stranger's text in a field of an event never
    becomes one.

    Raises: LineRefused.
    """
    outer = record = json_object(line)
    if key in record:
        return record
    for _ in range(_DEPTH):
        if key in record:
            return record
        inner = _inner_object(record)
        if inner is None:
            break
        record = inner
    return record if key in record else outer


def _inner_object(record: dict[str, Any]) -> dict[str, Any] | None:
    for name in ("_source", "json", "result"):
        found = record.get(name)
        if isinstance(found, dict):
            return found
    text = _original(record)
    if text is not None and text.lstrip().startswith("{"):
        return json_object(text.encode("utf-8", "replace"))
    return None


def _original(record: dict[str, Any]) -> str | None:
    """The line as it was written."""
    event = record.get("event")
    if isinstance(event, dict) and isinstance(event.get("original"), str):
        return str(event["original"])
    for name in _TEXTS:
        found = record.get(name)
        if isinstance(found, str):
            return found
        if name == "MESSAGE" and isinstance(found, list):
            # journald writes what is no UTF-8 as an array of bytes.
            try:
                return bytes(found).decode("utf-8", "replace")
            except (ValueError, TypeError):
                raise LineRefused("shape") from None
    return None


def plain_line(line: bytes) -> tuple[str, int | None]:
    """The line of text in ``line``, and its time (epoch microseconds) if only the wrapper has it.

    journald keeps time and program beside the message: they are put before it again, as syslog
    has them.

    Raises: LineRefused.
    """
    text = text_of(line)
    if not text.startswith("{"):
        return text, None
    record = json_object(line)
    for _ in range(_DEPTH):
        source = record.get("_source")
        if isinstance(source, dict):
            record = source
            continue
        original = _original(record)
        if original is None:
            break
        if original.startswith("{"):
            record = json_object(original.encode("utf-8", "replace"))
            continue
        return _with_program(record, original.strip("\r\n")), _time(record)
    return text, None


def _with_program(record: dict[str, Any], message: str) -> str:
    program = record.get("SYSLOG_IDENTIFIER")
    if not isinstance(program, str):
        # Filebeat's input for the journal.
        process = record.get("process")
        nested = record.get("syslog") or record.get("log")
        program = nested.get("identifier") if isinstance(nested, dict) else None
        if not isinstance(program, str):
            journal = record.get("journald")
            program = process.get("name") if journal and isinstance(process, dict) else None
    if not isinstance(program, str):
        return message
    if not 0 < len(program) <= _LONGEST_NAME or not program.isprintable():
        raise LineRefused("shape")
    # The name of a program may be chosen by who starts it: it must not look like another's line.
    name = "".join("_" if c in " :[]" else c for c in program)
    number = record.get("SYSLOG_PID") or record.get("_PID")
    number = number if isinstance(number, str) and number.isdecimal() else None
    return f"journal {name}[{number}]: {message}" if number else f"journal {name}: {message}"


def _time(record: dict[str, Any]) -> int | None:
    for name in ("__REALTIME_TIMESTAMP", "_SOURCE_REALTIME_TIMESTAMP"):
        value = record.get(name)
        if isinstance(value, str) and value.isdecimal() and len(value) <= 16:
            return int(value)
    for name in ("@timestamp", "time"):
        value = record.get(name)
        if isinstance(value, str):
            return iso_us(value)
    return None
