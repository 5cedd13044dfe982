"""The *lead* of a rule: what must stand in a payload for the rule to be tried on it at all.

Looked for in the raw payload, whatever buffer the rule means: so only what a buffer shares with the
bytes on the wire can lead. What is written otherwise there (percent-encoded targets, chunked or
compressed bodies) is looked through a second time by the matcher.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import hyperscan

from agents.sensor.signatures.everyday import MESSAGES, stands_in_everyday
from agents.sensor.signatures.http_buffers import METHODS
from agents.sensor.signatures.wire_forms import (
    anywhere,
    placed,
    text_on_the_wire,
    without_assertions,
)
from rules.signatures.buffers import PAYLOAD
from rules.signatures.parse import Signature
from rules.signatures.payload_options import Content, Expression

_FLAGS = hyperscan.HS_FLAG_SINGLEMATCH
_MAX_OFFSET = 65_535
_MOST = 3
"""Leads of one rule, where none of them is rare."""
_REQUEST = b"^(?:" + b"|".join(METHODS) + b")"
_MESSAGES = {
    ("http", True): _REQUEST,
    ("http", False): b"^HTTP/",
    ("http", None): _REQUEST[:-1] + b"|HTTP/)",
    ("tls", True): b"^\\x16\\x03...\\x01",
    ("tls", False): b"^\\x16\\x03",
    ("tls", None): b"^\\x16\\x03",
    ("ssh", True): b"^SSH-",
    ("ssh", False): b"^SSH-",
    ("ssh", None): b"^SSH-",
}


@dataclass(frozen=True, slots=True)
class Lead:
    """What the multi-pattern search looks for."""

    expression: bytes
    flags: int
    first: int = 0
    """Not before this byte of the payload."""
    last: int = _MAX_OFFSET
    """Ends not behind this byte."""


def leads_of(signature: Signature) -> tuple[Lead, ...]:
    """What all has to stand in a payload of the rule, as little of it as tells the rule from
    everyday traffic.

    That is the content that the author marked, or the longest. Where each content stands in
    everyday traffic too, several of them and expressions, so that no message of everyday has all;
    where there is nothing at all, the begin of a message that has the rule's buffers. Nothing: the
    headers choose.
    """
    contents = sorted(_contents(signature), key=lambda found: found[0], reverse=True)
    if contents and contents[0][0][0]:
        return (contents[0][1],)
    several = [lead for _, lead in contents]
    for check in signature.checks:
        if isinstance(check, Expression):
            lead = _expression(check)
            if lead is not None:
                several.append(lead)
    if several:
        return _together(several)
    if any(check.buffer != PAYLOAD for check in signature.checks):
        header = signature.header
        begin = _MESSAGES.get((header.application, header.to_server))
        if begin is not None:
            return (Lead(begin, _FLAGS | hyperscan.HS_FLAG_DOTALL),)
    return ()


def _together(leads: list[Lead]) -> tuple[Lead, ...]:
    """Those of the leads that fewest messages of everyday have all of; at least one."""
    messages = {lead: _messages_with(lead) for lead in leads}
    chosen: list[Lead] = []
    left = frozenset(range(len(MESSAGES)))
    while len(chosen) < _MOST:
        best = min(messages, key=lambda lead: len(left & messages[lead]))
        if chosen and len(left & messages[best]) == len(left):
            break
        chosen.append(best)
        left &= messages.pop(best)
        if not left or not messages:
            break
    return tuple(chosen)


def _contents(signature: Signature) -> Iterator[tuple[tuple[bool, bool, int], Lead]]:
    """(rare, marked, how long) and the lead of each content that stands on the wire."""
    for number, check in enumerate(signature.checks):
        if not isinstance(check, Content) or check.negated:
            continue
        text = text_on_the_wire(check)
        if not text:
            continue
        own = placed(check, text, signature.checks[number + 1 :])
        whole = own is not None and own.endswith(b"\\n")
        bare = text.strip(b"\r\n") if check.buffer.startswith("http.header") else text
        rare = whole or (len(bare) > 2 and not stands_in_everyday(bare))
        if own is not None and (whole or len(text) > 3 or not rare):
            lead = Lead(own, _FLAGS | hyperscan.HS_FLAG_CASELESS)
        else:
            lead = _literal(check, text)
        yield (rare, check.fast and len(text) > 3, len(text)), lead


def _literal(check: Content, text: bytes) -> Lead:
    first, last = 0, _MAX_OFFSET
    if check.buffer == PAYLOAD and not check.relative:
        first = max(check.offset or 0, 0)
        if check.depth is not None:
            last = min(first + check.depth, _MAX_OFFSET)
    if last < first + len(text):
        # The window is too small for the content: it never matches, and is no expression.
        first, last = 0, _MAX_OFFSET
    return Lead(anywhere(check, text), _FLAGS | hyperscan.HS_FLAG_CASELESS, first, last)


def _expression(check: Expression) -> Lead | None:
    expression = without_assertions(check)
    if expression is None:
        return None
    caseless = check.caseless or check.buffer != PAYLOAD
    lead = Lead(
        expression,
        _FLAGS
        | hyperscan.HS_FLAG_PREFILTER
        | hyperscan.HS_FLAG_ALLOWEMPTY
        | hyperscan.HS_FLAG_CASELESS * caseless
        | hyperscan.HS_FLAG_DOTALL * check.dotall,
    )
    try:
        compile_leads([lead])
    except hyperscan.error:
        # RE2 knows it and Hyperscan does not: the headers choose.
        return None
    return lead


@lru_cache(maxsize=10_000)
def _messages_with(lead: Lead) -> frozenset[int]:
    """Numbers of the messages of everyday in which it stands."""
    found: set[int] = set()
    database = compile_leads([lead])
    for number, message in enumerate(MESSAGES):
        database.scan(message, match_event_handler=lambda *_, n=number: found.add(n))
    return frozenset(found)


def compile_leads(leads: list[Lead], ids: Sequence[int] = (0,)) -> hyperscan.Database:
    """``ids``: what is reported for each. Raises: hyperscan.error for an unknown expression."""
    untyped: Any = hyperscan  # its stubs leave ExpressionExt out
    extended = []
    for lead in leads:
        bits = 0
        if lead.first:
            bits |= hyperscan.HS_EXT_FLAG_MIN_OFFSET
        if lead.last < _MAX_OFFSET:
            bits |= hyperscan.HS_EXT_FLAG_MAX_OFFSET
        extended.append(untyped.ExpressionExt(bits, lead.first, lead.last, 0, 0, 0))
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[lead.expression for lead in leads],
        ids=list(ids),
        elements=len(leads),
        flags=[lead.flags for lead in leads],
        ext=extended,
    )
    return database
