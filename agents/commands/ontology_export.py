"""``ontoidps ontology export``: an incident's window as one OWL file, from a running honeynet."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from agents.commands.replay import printable
from agents.commands.rules_switch import files_in_force
from agents.console.client import ConsoleClient
from agents.knowledge.window_export import incident_file
from agents.settings.honeynet import load_settings
from ontology.knowledge_base import KnowledgeBase
from ontology.records import Alert
from ontology.whole_files import write_whole

NEWEST = 1000
"""Incidents that are looked through."""
_ALERT = TypeAdapter(Alert)


class Console(Protocol):
    """What is asked of `ConsoleClient`."""

    def incidents(self, *, limit: int = ...) -> list[dict[str, Any]]: ...

    def alert(self, alert_id: str) -> dict[str, Any]: ...


def add_arguments(words: Any) -> None:
    """Adds the word to the parser's sub-commands."""
    exporter = words.add_parser("export", help="an incident's alerts as one OWL file for Protégé")
    exporter.add_argument("file", type=Path, metavar="HONEYNET.toml")
    exporter.add_argument("incident", metavar="INCIDENT", help="its id, or latest")
    exporter.add_argument("--out", type=Path, required=True, metavar="FILE")


def run(arguments: argparse.Namespace) -> int:
    """0. Raises: ValueError, OSError, ConsoleError with one line."""
    settings = load_settings(arguments.file)
    paths = [p for p in files_in_force(settings) if settings.policy.paper_rules or not _paper(p)]
    with KnowledgeBase(paths) as knowledge:
        ntriples = knowledge.ntriples()
    with ConsoleClient(settings) as console:
        name, alerts = incident_alerts(console, arguments.incident)
    data = incident_file(name, alerts, settings.host_profiles(), ntriples, paths[0])
    write_whole(arguments.out, data)
    print(printable(f"{len(alerts)} alerts of incident {name} to {arguments.out}"))
    return 0


def incident_alerts(console: Console, which: str) -> tuple[str, list[Alert]]:
    """(id, alerts) of an incident, as far as it names them.

    Raises: ValueError if there is no such incident, or no alert of it is kept.
    """
    for found in console.incidents(limit=1 if which == "latest" else NEWEST):
        incident = found["incident"]
        if which in ("latest", incident["id"], str(incident["id"]).removeprefix("urn:uuid:")):
            break
    else:
        raise ValueError(f"no incident is called {which!r} among the newest {NEWEST}")
    alerts = []
    for alert_id in incident["alerts"]:
        try:
            alerts.append(_ALERT.validate_python(console.alert(alert_id)["alert"]))
        except (KeyError, ValidationError) as e:
            raise ValueError(f"alert {alert_id}: not as expected from this console") from e
    if not alerts:
        raise ValueError(f"incident {incident['id']} names no alerts")
    return str(incident["id"]), alerts


def _paper(path: Path) -> bool:
    return path.name == "paper.owl"
