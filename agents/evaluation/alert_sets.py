"""Sets of alerts as `LabelledAlert`: what `datasets` reads, and logs that our own inputs read.

The truth of a set is what its makers wrote down (``docs/evaluation.md``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import as_file, files
from pathlib import Path

from agents.analyzer.core import AnalyzerCore, load_model
from agents.sensor.inputs.events import Options
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.registry import make_parser
from datasets.alert_sets import scan34_logs
from datasets.alert_sets.ait import read_ait
from datasets.alert_sets.eve_lines import HARMLESS, eve_lines, read_stages, signature_of
from datasets.alert_sets.labelled import LabelledAlert, SetError
from datasets.alert_sets.realsecure import read_realsecure, read_truth
from ontology.records import MAX_TIME_US, Address, Alert, ConnectionBatch, HostEvent

FORMATS = ("realsecure", "ait", "eve", "sotm34")
NING = "ning"
"""In place of a truth file: the names that Ning et al. count in LLDOS 1.0."""
_LINES = 200
"""Of a firewall's log read at a time."""


@dataclass(frozen=True, slots=True)
class AlertSet:
    """All alerts of a set, in order of time."""

    alerts: tuple[LabelledAlert, ...]
    honeypots: frozenset[Address] = frozenset()
    """Of the place that the set comes from."""
    described: tuple[scan34_logs.Described, ...] = ()
    """Incidents that people described (sotm34)."""
    silent: Mapping[str, bool | None] = field(default_factory=dict)
    """Alerts that our input passes over, as their words speak of no attack: name → related."""


def read_set(
    format_: str, paths: Sequence[Path], truth: str | None, honeypots: frozenset[Address]
) -> AlertSet:
    """Read files of one set; their alerts are put in order of time.

    Args:
        format_: one of `FORMATS`.
        truth: file with the truth, or `NING`; None: what the files themselves say.
        honeypots: addresses that are honeypots, beside those that the format knows of.

    Raises: ValueError: a file is not of the format, with file and line. OSError.
    """
    if truth is not None and format_ == "ait":
        raise ValueError("--truth: alerts of AIT carry their truth themselves")
    found: list[LabelledAlert] = []
    described: tuple[scan34_logs.Described, ...] = ()
    silent: dict[str, bool | None] = {}
    if format_ == "realsecure":
        for path in paths:
            found += read_realsecure(path, None if truth is None else _truth(truth, path))
    elif format_ == "ait":
        for path in paths:
            found += read_ait(path)
    elif format_ == "eve":
        stages = None if truth is None else read_stages(Path(truth))
        for path in paths:
            found += _eve(path, stages, honeypots, silent)
    else:
        described = () if truth is None else tuple(scan34_logs.read_incidents(Path(truth)))
        honeypots |= frozenset[Address](scan34_logs.HONEYNET.hosts())
        named = {address for one in described for address in one.addresses}
        for path in paths:
            found += _sotm34(path, named if described else None, honeypots)
    found.sort(key=lambda one: (one.alert.end_us, one.alert.id))
    return AlertSet(tuple(found), honeypots, described, silent)


def _truth(truth: str, path: Path) -> dict[str, str]:
    if truth != NING:
        return read_truth(Path(truth), path)
    with as_file(files("datasets.alert_sets").joinpath("lldos_truth.tsv")) as shipped:
        return read_truth(shipped, path)


def _eve(
    path: Path,
    stages: dict[str, str] | None,
    honeypots: frozenset[Address],
    silent: dict[str, bool | None],
) -> Iterator[LabelledAlert]:
    intake = Intake(make_parser("eve", Options(honeypots=honeypots)), sensor="eve")
    for number, line in eve_lines(path):
        name = f"{path.name}:{number}"
        signature = signature_of(line)
        stage = "" if stages is None else stages.get(signature or "", "")
        related = None if not stage else stage not in HARMLESS
        alerts = list(_alerts(intake.on_lines([line], name, MAX_TIME_US - 1)))
        if not alerts and signature is not None:
            silent[name] = related
        for alert in alerts:
            yield LabelledAlert(alert, name, related, stage if related else "")
    if intake.counters["refused"] and not intake.understood:
        raise SetError(f"{path}: {intake.trouble()}")


def _sotm34(
    path: Path, attackers: set[Address] | None, honeypots: frozenset[Address]
) -> Iterator[LabelledAlert]:
    analyzer = AnalyzerCore(load_model(), analyzer="analyzer", honeypots=honeypots)
    for log in scan34_logs.read_logs(path):
        parser = make_parser(
            log.kind,
            Options(honeypots=honeypots, address=scan34_logs.HOST, own=(scan34_logs.HOST,)),
        )
        intake = Intake(parser, sensor=log.name)
        # A firewall's lines are packets: what they mean is the analyzer's to find.
        step = _LINES if log.name.startswith("iptables") else 1
        for begin in range(0, len(log.lines), step):
            name = f"{log.name}:{begin + 1}"
            records = intake.on_lines(log.lines[begin : begin + step], name, scan34_logs.NOW_US)
            found = list(_alerts(records))
            happened = [r for r in records if isinstance(r, HostEvent)]
            for record in records:
                if isinstance(record, ConnectionBatch):
                    found += analyzer.on_batch(record)
            if happened:
                found += analyzer.on_host_events(happened, happened[-1].begin_us)
            for alert in found:
                moved = replace(
                    alert,
                    begin_us=alert.begin_us + log.lacks_us,
                    end_us=alert.end_us + log.lacks_us,
                )
                # All that comes to a honeynet is unsolicited: who isn't described is not innocent.
                known = attackers is not None and alert.source in attackers
                yield LabelledAlert(moved, name if step == 1 else alert.id, known or None)


def _alerts(records: Iterable[object]) -> Iterator[Alert]:
    return (record for record in records if isinstance(record, Alert))
