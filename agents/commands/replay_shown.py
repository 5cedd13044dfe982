"""How ``ontoidps replay`` shows what came of a capture or log."""

from __future__ import annotations

import json
from pathlib import Path

from agents.commands.output import plural, printable
from agents.offline.evidence_folder import EvidenceFolder
from agents.offline.replay import Totals
from ontology.json_objects import iso_time, json_object
from ontology.records import Alert, Decision, Incident


def show_record(
    record: Alert | Incident | Decision,
    *,
    path: Path,
    as_json: bool,
    evidence: EvidenceFolder | None,
) -> None:
    """On stdout, and the packets that it rests on into the folder of evidence."""
    written = ""
    if evidence is not None and isinstance(record, Alert) and record.stage == "original":
        written = evidence.write(record)
    if as_json:
        print(json.dumps(json_object(record) | {"capture": str(path)}), flush=True)
        return
    if isinstance(record, Alert):
        if record.stage == "senior":
            return  # its originals were shown, and the incident's explanation has it again
        head = (
            f"  alert     {iso_time(record.end_us)}  {record.classification}  "
            f"{record.source or 'many sources'} -> {record.target or 'many hosts'}  "
            f"confidence {record.confidence:.2f}"
        )
        lines = record.explanation.splitlines()
    elif isinstance(record, Incident):
        targets = ", ".join(map(str, record.targets[:4])) + (" …" if record.targets[4:] else "")
        head = (
            f"  incident  {iso_time(record.end_us)}  {record.classification}  "
            f"{record.source or 'many sources'} -> {targets or 'many hosts'}  "
            f"severity {record.severity:.2f}"
        )
        lines = record.explanation.splitlines()
    else:
        head = (
            f"  decision  {iso_time(record.decided_us)}  {record.action} {record.source} "
            f"for {record.duration_s} s"
        )
        # The derivation stands with the incident, just above.
        lines = record.reason.splitlines()[-1:]
    print(head)
    for line in (*lines, written):
        if line:
            print(f"            {printable(line)}")


def summary(totals: Totals) -> str:
    """The last line of a capture or log."""
    malformed = f", {totals.malformed} malformed" if totals.malformed else ""
    malformed += f", {totals.forged} forged" if totals.forged else ""
    malformed += f", {totals.out_of_window} out of window" if totals.out_of_window else ""
    lines = f"{plural(totals.lines, 'line')} ({totals.refused} refused), " if totals.lines else ""
    return (
        f"  {lines}{plural(totals.packets, 'packet')}{malformed}, "
        f"{plural(totals.connections, 'connection')}: {plural(totals.alerts, 'alert')}, "
        f"{plural(totals.incidents, 'incident')}, {plural(totals.decisions, 'decision')}"
    )
