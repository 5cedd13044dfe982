"""One plug-in of each kind for OntoIDPS."""

import os
import time
from pathlib import Path

from agents.analyzer.findings import Claim, Finding, Table
from agents.sensor.inputs.events import (
    STATE,
    SYN,
    LineRefused,
    Plain,
    digits,
    host,
    iso_us,
    pack_row,
)


class DoorLog(Plain):
    """Lines like ``2026-11-21T12:00:00Z 192.0.2.66 198.51.100.18 23``: somebody knocked."""

    kind = "doorlog"

    def __init__(self, options):
        self.options = options

    def on_line(self, line):
        cells = line.decode("ascii", "replace").split(" ")
        if len(cells) != 4:
            raise LineRefused("shape")
        row = pack_row(
            at_us=iso_us(cells[0], self.options.timezone),
            source=host(cells[1]),
            target=host(cells[2]),
            protocol=6,
            state=STATE["S0"],
            ports=(0, digits(cells[3], 65535)),
            flags=(SYN, 0),
        )
        return (row,)


class TelnetUse:
    """Telnet carries passwords in the clear: whoever completes a connection is told."""

    def __init__(self, options):
        self.findings = Table(Finding, 10_000)  # bounded: strangers choose the keys

    def on_view(self, view, reporter):
        alerts = []
        telnet = view.completed & (view.rows["dst_port"] == 23)
        for rows in view.groups(telnet, view.source, view.target):
            first = rows[0]
            key = view.sources[view.source[first]], view.targets[view.target[first]]
            finding = self.findings.get(key)
            finding.add(view, rows, reporter.clusters)
            if finding.due("UnknownAnomaly"):
                words = f"{finding.count} Telnet connections"
                claim = Claim(
                    classification="UnknownAnomaly",
                    explanation=words,
                    confidence=0.3,
                    protocol=6,
                    target_port=23,
                )
                alerts.append(reporter.alert(finding, claim))
        return alerts

    def counters(self):
        return {"telnet_use_evicted": self.findings.evicted}


class DenyFile:
    """Keeps blocked addresses in a file that a reverse proxy reads, a line each."""

    def __init__(self, options):
        self.path = Path(os.environ.get("DENY_FILE", "/run/ontoidps-deny.txt"))
        self.ends = {}

    def install(self):
        self.path.touch()

    def block(self, address, seconds):
        self.ends[address] = max(time.monotonic() + seconds, self.ends.get(address, 0))
        self.write()
        return self.ends[address] - time.monotonic()

    def unblock(self, address):
        present = address in self.blocked()
        self.ends.pop(address, None)
        self.write()
        return present

    def blocked(self):
        now = time.monotonic()
        self.ends = {address: end for address, end in self.ends.items() if end > now}
        return {address: end - now for address, end in self.ends.items()}

    def close(self):
        pass  # what is in force stays

    def write(self):
        lines = "".join(f"deny {address};\n" for address in sorted(self.blocked(), key=str))
        new = self.path.with_suffix(".new")
        new.write_text(lines)
        new.replace(self.path)  # a reader never sees half a file
