"""Who speaks for others: reverse proxies and their like, by what their requests say.

``X-Forwarded-For`` is what a client wrote, or his relay: a claim that anybody can make. So the
claimed address is never accused by it; but the one in the packet may be a relay, whose block would
hit all its visitors, so what it carried proves nothing against it either.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any, TypeVar

from agents.sensor.inputs.events import clean

_V = TypeVar("_V")
MAX_FLOWS = 512
MAX_PLACES = 256
"""Flows that a relay carries, and (relay, service) pairs, remembered; together below 64 KiB."""
HEADERS = frozenset(
    {
        "x-forwarded-for",
        "forwarded",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
    }
)
"""Fields of a request in which relays say for whom they ask; RFC 7239, and custom."""


def forwarded_for(event: dict[str, Any]) -> str | None:
    """The claim in a Suricata event (``xff``, or the headers if it logs them), printable."""
    http = event.get("http")
    found = event.get("xff")
    if not isinstance(found, str) and isinstance(http, dict):
        found = http.get("xff")
        headers = http.get("request_headers")
        if not isinstance(found, str) and isinstance(headers, list):
            found = _header(headers)
    return clean(found, 80) if isinstance(found, str) and found.strip() else None


def _header(headers: list[Any]) -> str | None:
    for header in headers[:64]:
        if isinstance(header, dict) and str(header.get("name")).lower() in HEADERS:
            return str(header.get("value"))
    return None


class Relays:
    """Which flows a relay carried, and which (relay, service) pairs there are. Bounded."""

    def __init__(self) -> None:
        self._flows: OrderedDict[str, str] = OrderedDict()
        self._places: OrderedDict[str, None] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._places)

    def judge(self, relay: str, service: Hashable, flow: object, claimed: str | None) -> str | None:
        """For whom ``relay`` asked at ``service`` in ``flow`` (any stable id, None if unknown):
        None: it is no relay there, as far as is known; empty: it is, and does not say.

        ``claimed``: what this event itself says.
        """
        place, name = f"{relay} {service}"[:160], f"{flow}"[:40]
        if claimed is not None and claimed != relay:
            _keep(self._places, place, None, MAX_PLACES)
            if flow is not None:
                _keep(self._flows, name, claimed, MAX_FLOWS)
            return claimed
        if flow is not None and name in self._flows:
            return self._flows[name]
        return "" if place in self._places else None

    def memory(self) -> str:
        return json.dumps([list(self._places), list(self._flows.items())]) if self else ""

    def remember(self, memory: str) -> None:
        """Raises: ValueError."""
        if not memory:
            return
        places, flows = json.loads(memory)
        self._places = OrderedDict.fromkeys(str(place) for place in places[:MAX_PLACES])
        self._flows = OrderedDict((str(k), str(v)) for k, v in flows[:MAX_FLOWS])


def said(relay: object, claimed: str) -> str:
    """For an explanation."""
    whom = f"in the name of {claimed}, a claim" if claimed else "not saying in whose name"
    return f"{relay} is a relay, {whom}"


def _keep(table: OrderedDict[str, _V], key: str, value: _V, most: int) -> None:
    table[key] = value
    if len(table) > most:
        table.popitem(last=False)
