"""What bots type into a shell by Telnet once they are in: Mirai, and what was made of it.

A bot asks whether its last command is done by a name that BusyBox doesn't know ("ECCHI: applet not
found"), looks for a place that it may write to, reads a program's head to learn the processor, and
brings its own program: fetched from an address, or written byte by byte with ``echo``. (Antonakakis
and others, "Understanding the Mirai Botnet", USENIX Security 2017; its published loader.)
"""

from __future__ import annotations

from agents.sensor.payloads.pattern_sets import PatternSet
from ontology.records import INDICATORS

PROBE, LOOK, DROPPER = (
    1 << INDICATORS.index(name) for name in ("BotProbe", "HostLookedOver", "ProgramDropped")
)
PORTS = (23, 2323)
LEAST = 8
"""Bytes: whoever types sends his keys one by one."""

_ADDRESS = rb"\d+\.\d+\.\d+\.\d+"
_PATTERNS = (
    # An applet in capitals; who sets flags apart reads no program's first 52 bytes.
    rb"busybox[ \t]+(?-i:[A-Z]{4,12})(?:[\s;|&]|$)|\bdd[ \t]+bs=52[ \t]+count=1\b"
    rb"|\bcat[ \t]+/bin/(?:echo|ls|sh)(?:[\s;|&]|$)",
    rb"\bcat[ \t]+/proc/(?:mounts|self/exe|cpuinfo)\b|\brm[ \t]+-rf?[ \t]+/(?:tmp|var/run|dev)/",
    rb"\becho[ \t]+-n?en?[ \t]+['\"]?(?:\\\\?x[0-9a-f]{2}){4}"
    rb"|\b(?:wget|curl|ftpget|tftp)\b[^\n\0]*" + _ADDRESS + rb"[^\n\0]*(?:[;&|]|$)"
    rb"|\bbusybox[ \t]+(?:wget|curl|ftpget|tftp)\b",
)
_BITS = (PROBE, LOOK, DROPPER)


class BotCommands:
    """Not thread-safe."""

    def __init__(self) -> None:
        self._patterns = PatternSet(*_PATTERNS, lines=True)

    def look(self, payload: bytes) -> int:
        """Indicators of what a client of Telnet sends."""
        found = self._patterns.found(payload)
        return sum(bit for number, bit in enumerate(_BITS) if found >> number & 1)
