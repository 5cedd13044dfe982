"""Contacts in columns, and how readers of logs fill them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from ipaddress import IPv4Address, ip_address

import numpy as np
from numpy.typing import NDArray

PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmpv6": 58, "sctp": 132}
MAX_TIME_S = 4_102_444_800
"""2100: what lies beyond is no time."""
_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True, eq=False)
class ContactLog:
    """n contacts in the order of time."""

    time_us: NDArray[np.int64]
    """(n,) microseconds since the Unix epoch, ascending."""
    source: NDArray[np.int32]
    """(n,) index into ``sources``."""
    gateway: NDArray[np.int32]
    """(n,) index into ``gateways``."""
    port: NDArray[np.int32]
    """(n,) of the gateway; -1: none, or not known."""
    protocol: NDArray[np.int16]
    """(n,) IANA number; -1: not known."""
    sources: tuple[str, ...]
    """Addresses in canonical form."""
    gateways: tuple[str, ...]
    """Names of sensors, or addresses of targets."""
    refused: Counter[str]
    """Lines that could not be used, by reason."""
    first_refused: str
    """``file:line: reason`` of the first one; empty: there was none."""
    left_out: Counter[str]
    """Lines that were understood and are no contact of a stranger, by reason."""

    def __len__(self) -> int:
        return len(self.time_us)

    def between(self, since_us: int | None, until_us: int | None) -> ContactLog:
        """The contacts in [``since_us``, ``until_us``); None: no bound."""
        low = 0 if since_us is None else int(np.searchsorted(self.time_us, since_us))
        high = len(self) if until_us is None else int(np.searchsorted(self.time_us, until_us))
        return ContactLog(
            self.time_us[low:high],
            self.source[low:high],
            self.gateway[low:high],
            self.port[low:high],
            self.protocol[low:high],
            self.sources,
            self.gateways,
            self.refused,
            self.first_refused,
            self.left_out,
        )


class ContactReader:
    """Collects contacts of several files; a reader of a format calls `add` or `refuse` per line."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.first_refused = ""
        self._sources: dict[str, int] = {}
        self._spelt: dict[str, int | None] = {}
        self._gateways: dict[str, int] = {}
        self._rows: list[tuple[int, int, int, int, int]] = []

    def refuse(self, reason: str, place: str) -> None:
        """Count a line that can't be used; ``place``: ``file:line``."""
        self.refused[reason] += 1
        self.first_refused = self.first_refused or f"{place}: {reason}"

    def add(
        self, time_us: int, source: str, gateway: str, port: int = -1, protocol: int = -1
    ) -> None:
        """One contact. Raises: ValueError with the reason as its text: source, sensor."""
        index = self._spelt.get(source, -1)
        if index == -1:
            index = self._spelt[source] = self._source(source)
        if index is None:
            raise ValueError("source")
        if not gateway or len(gateway) > _LONGEST_NAME:
            raise ValueError("sensor")
        place = self._gateways.setdefault(gateway, len(self._gateways))
        self._rows.append((time_us, index, place, port, protocol))

    def _source(self, text: str) -> int | None:
        address = address_of(text)
        if address is None:
            return None
        return self._sources.setdefault(address, len(self._sources))

    def finish(self) -> ContactLog:
        """All contacts so far.

        Raises: ValueError: there is none.
        """
        if not self._rows:
            raise ValueError("no line is a contact" + self._why())
        table = np.array(self._rows, np.int64)
        table = table[np.argsort(table[:, 0], kind="stable")]
        return ContactLog(
            np.ascontiguousarray(table[:, 0]),
            table[:, 1].astype(np.int32),
            table[:, 2].astype(np.int32),
            table[:, 3].astype(np.int32),
            table[:, 4].astype(np.int16),
            tuple(self._sources),
            tuple(self._gateways),
            self.refused,
            self.first_refused,
            self.left_out,
        )

    def _why(self) -> str:
        counted = [f"{count} {reason}" for reason, count in (self.refused + self.left_out).items()]
        first = f"; first refused: {self.first_refused}" if self.first_refused else ""
        return f" ({', '.join(counted)}{first})" if counted else ""


def address_of(text: str) -> str | None:
    """Canonical form of an address in any form, or of an IPv4 address as a decimal number."""
    try:
        if text.isascii() and text.isdecimal():
            return str(IPv4Address(int(text[:11])))
        address = ip_address(text.strip())
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def port_of(text: str) -> int:
    """-1 for an empty one. Raises: ValueError("port")."""
    text = text.strip()
    if not text:
        return -1
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError("port")
    return int(text)


@lru_cache(maxsize=1024)
def protocol_of(text: str) -> int:
    """Number of a protocol by name or number; -1 if empty. Raises: ValueError("protocol")."""
    text = text.strip().lower()
    if not text:
        return -1
    if text in PROTOCOLS:
        return PROTOCOLS[text]
    if text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) <= 255:
        return int(text)
    raise ValueError("protocol")


@lru_cache(maxsize=1024)
def _minute(text: str, zone: tzinfo) -> int:
    """Microseconds of ``2013-03-03 21:53``."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1_000_000


def time_of(text: str, zone: tzinfo = UTC) -> int:
    """Microseconds since the epoch of an ISO 8601 time, or of seconds since the epoch.

    Args:
        zone: of times that name none.

    Raises:
        ValueError("time").
    """
    text = text.strip()
    try:
        # The form of most logs, "2013-03-03 21:53:59": many lines share a minute.
        if len(text) == 19 and text[16] == ":" and text[17:].isdecimal() and text[17:] < "60":
            at_us = _minute(text[:16], zone) + int(text[17:]) * 1_000_000
        elif text.replace(".", "", 1).isdecimal() and text.isascii():
            at_us = round(float(text) * 1_000_000)
        else:
            at = datetime.fromisoformat(text)
            at_us = round((at if at.tzinfo else at.replace(tzinfo=zone)).timestamp() * 1_000_000)
    except (ValueError, OverflowError) as e:
        raise ValueError("time") from e
    if not 0 <= at_us <= MAX_TIME_S * 1_000_000:
        raise ValueError("time")
    return at_us


def within(lines: Iterable[list[bytes]]) -> Iterable[tuple[int, str]]:
    """Numbered lines of blocks of lines, as text."""
    number = 0
    for block in lines:
        for line in block:
            number += 1
            yield number, line.decode("utf-8", "replace")
