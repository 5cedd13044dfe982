"""A node's rule files as the live sensor uses them: loaded, watched, described in one line."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.sensor.evidence.matched import MatchedPackets
from agents.sensor.signatures.alerts import WAIT_US, SignatureAlerts
from agents.sensor.signatures.header_masks import VARIABLES, read_addresses, read_ports
from agents.sensor.signatures.limits import AlertLimiter
from agents.sensor.tunnel_trust import TunnelTrust
from ontology.records import Address
from rules.signatures.parse import SignatureSet, load_signatures, rule_paths

Stamp = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """What the files held, ready to match."""

    found: SignatureSet
    alerts: SignatureAlerts

    def summary(self) -> str:
        """``3206 signatures loaded, 2528 in use (78.9 %)``, and what could not be read."""
        loaded, used = len(self.found.signatures), len(self.alerts.matcher.signatures)
        text = f"{loaded} signatures loaded, {used} in use ({100 * used / max(loaded, 1):.1f} %)"
        passing = [s for s, _ in self.alerts.matcher.left_out if s.silences]
        if passing:
            text += f"; {len(passing)} pass rules left out, the first is {passing[0].sid}"
        if self.found.faults:
            text += f"; {len(self.found.faults)} unreadable, the first is {self.fault()}"
        return text

    def fault(self) -> str:
        """The first line that could not be read, or nothing."""
        if not self.found.faults:
            return ""
        fault = self.found.faults[0]
        return f"{str(fault.path)!r} line {fault.line}: {fault.reason}"


def check_variable(name: str, value: str) -> None:
    """Raises: ValueError if ``value`` is no set that ``$NAME`` in rules may stand for."""
    if not name.isidentifier():
        raise ValueError(f"signature variable {name!r}: not a name")
    try:
        (read_ports if name.endswith("_PORTS") else read_addresses)(value, VARIABLES)
    except ValueError as e:
        raise ValueError(f"signature variable {name}={value!r}: {e}") from e


def load_rules(
    paths: Sequence[Path],
    *,
    variables: Mapping[str, str],
    sensor: str,
    honeypots: Collection[Address],
    limiter: AlertLimiter | None = None,
    wait_us: int = WAIT_US,
    one_sided: bool = False,
    tunnels: TunnelTrust | None = None,
    evidence: MatchedPackets | None = None,
) -> LoadedRules:
    """Read and compile rule files (a folder: the ``*.rules`` in and below it) for live use.

    Raises: ValueError, OSError, one line: no such file, no rule in any, a bad variable.
    """
    for name, value in variables.items():
        check_variable(name, value)
    found = load_signatures(paths)
    alerts = SignatureAlerts(
        found.signatures,
        sensor=sensor,
        variables=variables,
        honeypots=honeypots,
        wait_us=wait_us,
        limiter=limiter,
        one_sided=one_sided,
        tunnels=tunnels,
        evidence=evidence,
    )
    return LoadedRules(found, alerts)


def stamp(paths: Sequence[Path]) -> Stamp:
    """Changes when a file is written, replaced, added or taken away; never raises."""
    out = []
    for path in paths:
        try:
            inside = rule_paths(path)
        except OSError:
            inside = [path]
        for file in inside:
            try:
                seen = file.stat()
            except OSError:
                out.append((str(file), -1, -1, -1))
                continue
            out.append((str(file), seen.st_mtime_ns, seen.st_size, seen.st_ino))
    return tuple(out)
