"""The detectors of a node, by name: ours and other packages', none able to spoil another's work.

Every entry point of the group ``ontoidps.detectors`` is called with `DetectorOptions` and gives a
`findings.Detector` (docs/plugins.md).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from agents import plugins
from agents.analyzer.beacons import Beacons
from agents.analyzer.contacts import HoneypotContacts, Novelty, WebAttacks
from agents.analyzer.findings import Detector, Reporter, View
from agents.analyzer.floods import Floods
from agents.analyzer.icmp_tunnels import IcmpTunnels
from agents.analyzer.idle_scans import IdleScans
from agents.analyzer.logins import Logins
from agents.analyzer.open_services import OpenServices
from agents.analyzer.outgoing import Outgoing
from agents.analyzer.plugin_guard import Guarded
from agents.analyzer.reflections import Reflections
from agents.analyzer.scans import PortScans, Sweeps
from agents.analyzer.scattered_floods import ScatteredFloods
from agents.analyzer.sequence_prediction import SequencePrediction
from agents.analyzer.service_misuse import ServiceMisuse
from agents.analyzer.slow_scans import SlowScans
from ontology.records import Address, Alert

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorOptions:
    """What a detector gets to know of the honeynet when it is made."""

    honeypots: tuple[Address, ...] = ()
    protected: tuple[Address, ...] = ()
    """Other own addresses."""


def port_scans(_: DetectorOptions) -> Detector:
    """Many ports of one host."""
    return PortScans()


def sweeps(_: DetectorOptions) -> Detector:
    """One port, or ping, on many hosts."""
    return Sweeps()


def logins(_: DetectorOptions) -> Detector:
    """Guessed passwords."""
    return Logins()


def floods(_: DetectorOptions) -> Detector:
    """Too much for one host."""
    return Floods()


def scattered_floods(_: DetectorOptions) -> Detector:
    """Too much for one network."""
    return ScatteredFloods()


def reflections(_: DetectorOptions) -> Detector:
    """SYN-ACKs that nobody asked for."""
    return Reflections()


def web_attacks(_: DetectorOptions) -> Detector:
    """Marks of web attacks in payloads."""
    return WebAttacks()


def honeypot_contacts(options: DetectorOptions) -> Detector:
    """Whoever talks to a decoy."""
    return HoneypotContacts(options.honeypots)


def idle_scans(_: DetectorOptions) -> Detector:
    """Scans through an unwitting third."""
    return IdleScans()


def slow_scans(_: DetectorOptions) -> Detector:
    """Scans over hours."""
    return SlowScans()


def sequence_prediction(_: DetectorOptions) -> Detector:
    """Sampled sequence numbers, spoofed logins."""
    return SequencePrediction()


def outgoing(options: DetectorOptions) -> Detector:
    """Decoys that call out."""
    return Outgoing(options.honeypots)


def beacons(options: DetectorOptions) -> Detector:
    """Own hosts that call out at a steady pace."""
    return Beacons(options.honeypots, options.protected)


def icmp_tunnels(_: DetectorOptions) -> Detector:
    """Echo replies that are none."""
    return IcmpTunnels()


def open_services(options: DetectorOptions) -> Detector:
    """Services without a lock, told to let somebody in."""
    return OpenServices(options.honeypots)


def service_misuse(options: DetectorOptions) -> Detector:
    """Telephone servers, controllers and shares, told what only attackers tell them."""
    return ServiceMisuse(options.honeypots)


def novelty(_: DetectorOptions) -> Detector:
    """What is far from all clusters."""
    return Novelty()


BUILT_IN: dict[str, Callable[[DetectorOptions], Detector]] = {
    "port-scans": port_scans,
    "idle-scans": idle_scans,
    "sweeps": sweeps,
    "slow-scans": slow_scans,
    "sequence-prediction": sequence_prediction,
    "logins": logins,
    "floods": floods,
    "scattered-floods": scattered_floods,
    "reflections": reflections,
    "web-attacks": web_attacks,
    "open-services": open_services,
    "service-misuse": service_misuse,
    "honeypot-contacts": honeypot_contacts,
    "icmp-tunnels": icmp_tunnels,
    "outgoing": outgoing,
    "beacons": beacons,
    "novelty": novelty,
}
"""In the order in which they look; a default of settings, the names of the entry points."""


class DetectorBoard:
    """Runs all detectors of a node over each batch; one that fails is counted and logged once.

    Ours are called as they are, others through `Guarded`.
    """

    def __init__(self, options: DetectorOptions, names: Sequence[str] | None = None) -> None:
        """``names``: as in ``detectors`` of honeynet.toml; None: all of ours.

        One that can't be made is left out, logged, and counted as ``detector.NAME.missing``.
        """
        self._detectors: list[tuple[str, Detector]] = []
        self._counters: Counter[str] = Counter()
        self._logged: dict[str, str] = {}
        # Ours first, whatever the file's order: theirs could change what they are given.
        for name in sorted(BUILT_IN if names is None else names, key=_rank):
            try:
                detector: Detector
                if name in BUILT_IN:
                    detector = BUILT_IN[name](options)
                else:
                    detector = Guarded(name, partial(_load, name, options))
            except (Exception, SystemExit) as e:
                self._counters[f"detector.{name}.missing"] += 1
                logger.error("detector %r is left out: %s", name, e)
                continue
            self._detectors.append((name, detector))

    def on_view(self, view: View, reporter: Reporter) -> list[Alert]:
        """The alerts of all; what a detector gave before it failed counts."""
        alerts: list[Alert] = []
        for name, detector in self._detectors:
            try:
                alerts += detector.on_view(view, reporter)
            except (Exception, SystemExit) as e:
                self._fail(name, e)
        return alerts

    def counters(self) -> dict[str, int]:
        """Every detector's own, and ``detector.NAME.errors``, ``.missing``; more in `Guarded`."""
        out: dict[str, int] = {}
        for name, detector in self._detectors:
            try:
                out.update(detector.counters())
            except (Exception, SystemExit) as e:
                self._fail(name, e)
        return out | self._counters

    def _fail(self, name: str, e: BaseException) -> None:
        self._counters[f"detector.{name}.errors"] += 1
        kind = type(e).__name__
        if self._logged.get(name) != kind:  # once, not at every batch
            self._logged[name] = kind
            logger.error("detector %r failed, the others go on", name, exc_info=e)


def _rank(name: str) -> tuple[int, str]:
    names = list(BUILT_IN)
    return (names.index(name), "") if name in BUILT_IN else (len(names), name)


def _load(name: str, options: DetectorOptions) -> Detector:
    detector: Detector = plugins.load(plugins.DETECTORS, name)(options)
    if not callable(getattr(detector, "on_view", None)):
        raise TypeError("it has no on_view")
    return detector
