"""Login sessions of ``/var/log/wtmp``: who logged in at which terminal, from where, until when.

Format: ``struct utmp`` of glibc on Linux with ``__WORDSIZE_TIME64_COMPAT32`` (x86, ARM, RISC-V):
384 bytes a record, in the host's byte order (utmp(5)). The address is what the login service wrote,
not what a client said; a name or host longer than its field is cut.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from typing import ClassVar, Final

import numpy as np

from agents.sensor.inputs.events import UNRELATED, Host, LineRefused, Options, Sighting, host
from agents.sensor.inputs.host_sightings import HostSighting, host_of

UTMP: Final = np.dtype(
    [
        ("type", "<i2"),
        ("padding", "<i2"),
        ("pid", "<i4"),
        ("line", "S32"),
        ("id", "S4"),
        ("user", "S32"),
        ("host", "S256"),
        ("termination", "<i2"),
        ("exit", "<i2"),
        ("session", "<i4"),
        ("seconds", "<u4"),
        ("microseconds", "<i4"),
        ("address", "V16"),
        ("unused", "V20"),
    ]
)
"""One record; ``seconds`` as unsigned, which is right until 2106."""
if UTMP.itemsize != 384:
    raise AssertionError("struct utmp has 384 bytes")
BOOT_TIME, USER_PROCESS, DEAD_PROCESS = 2, 7, 8
_TYPES = 10
MAX_TERMINALS: Final = 512


class WtmpParser:
    """Keeps who is at which terminal: the end of a session names the terminal only."""

    kind: ClassVar[str] = "wtmp"
    record_bytes: ClassVar[int] = UTMP.itemsize
    """Not lines: records of this length."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._open: OrderedDict[str, tuple[str, str, int]] = OrderedDict()
        """Terminal to user, address (or nothing) and process."""
        self.now_us = 0

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        if len(line) != UTMP.itemsize:
            return UNRELATED
        record = np.frombuffer(line, UTMP)[0]
        kind = int(record["type"])
        microseconds = int(record["microseconds"])
        if not 0 <= kind < _TYPES or not 0 <= microseconds < 1_000_000:
            raise LineRefused("shape")
        at_us = int(record["seconds"]) * 1_000_000 + microseconds
        terminal = record["line"].decode("utf-8", "replace")
        if kind == BOOT_TIME:
            self._open.clear()
        elif kind == USER_PROCESS:
            address = _address(bytes(record["address"]))
            user, process = record["user"].decode("utf-8", "replace"), int(record["pid"])
            self._open[terminal] = (user, str(address.value) if address else "", process)
            self._open.move_to_end(terminal)
            if len(self._open) > MAX_TERMINALS:
                self._open.popitem(last=False)
            return (self._sighting("login", terminal, at_us),)
        elif kind == DEAD_PROCESS and terminal in self._open:
            ended = self._sighting("logout", terminal, at_us)
            del self._open[terminal]
            return (ended,)
        return ()

    def _sighting(self, kind: str, terminal: str, at_us: int) -> HostSighting:
        user, address, process = self._open[terminal]
        source = host(address) if address else None
        return HostSighting(
            kind="login" if kind == "login" else "logout",
            key=f"{terminal} {at_us}",
            host=host_of(self._options, source.version if source else None),
            at_us=at_us,
            source=source,
            user=user,
            login=user,
            session=terminal,
            process=process if process > 0 else None,
        )

    def memory(self) -> str:
        return json.dumps(list(self._open.items()))

    def remember(self, memory: str) -> None:
        """Raises: ValueError."""
        if not memory:
            return
        found: OrderedDict[str, tuple[str, str, int]] = OrderedDict()
        for terminal, (user, address, process) in json.loads(memory)[:MAX_TERMINALS]:
            known = str(host(address).value) if address else ""
            found[str(terminal)] = (str(user), known, int(process))
        self._open = found


def _address(raw: bytes) -> Host | None:
    """``ut_addr_v6``: an IPv4 address has the first word only."""
    if not any(raw):
        return None
    if not any(raw[4:]):
        return host(".".join(map(str, raw[:4])))
    return host(":".join(raw[i : i + 2].hex() for i in range(0, 16, 2)))
