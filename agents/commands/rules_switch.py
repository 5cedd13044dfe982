"""``ontoidps rules enable|disable``: a rule on or off, in the files or in a running honeynet."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from agents.commands.replay import printable
from agents.console.client import ConsoleClient
from agents.knowledge.files import reasoner_files
from agents.knowledge.knowledge_store import KnowledgeStore
from agents.settings.honeynet import Settings, load_settings
from ontology.knowledge_base import ontology_path
from ontology.rule_switches import rule_states, switch_rules
from ontology.whole_files import write_whole
from rules.shipped_files import paper_rules_path, rule_paths

WORDS = ("enable", "disable")


def add_arguments(words: Any) -> None:
    """Adds the words to the parser's sub-commands."""
    for word, what in (("enable", "put a rule in force"), ("disable", "put a rule out of force")):
        switch = words.add_parser(word, help=what)
        switch.add_argument("name", metavar="NAME", help="a rule's label")
        switch.add_argument("--json", action="store_true", help="one JSON object")
        switch.add_argument(
            "--settings",
            type=Path,
            metavar="FILE",
            help="honeynet.toml: ask the honeynet that runs; default: write into the installed"
            " file",
        )
        switch.add_argument("--reason", default="", help="kept in the audit trail; with --settings")


def run(arguments: argparse.Namespace) -> int:
    """0. Raises: ValueError, OSError, ConsoleError with one line."""
    name, on = arguments.name, arguments.word == "enable"
    if arguments.settings is None:
        path, changed = switch_installed(name, on)
        said = f"{name} {arguments.word}d in {path}" + ("" if changed else ", as it was before")
        found: dict[str, object] = {"rule": name, "enabled": on, "file": str(path)}
        found["changed"] = changed
    else:
        if not arguments.reason.strip():
            raise ValueError("--reason is needed: it is kept in the audit trail")
        with ConsoleClient(load_settings(arguments.settings)) as console:
            answer = console.switch_rule(name, enabled=on, reason=arguments.reason)
        said = f"{name} {arguments.word}d: {answer['detail']}"
        found = {"rule": name, "enabled": on, "version": answer["detail"]}
    print(json.dumps(found) if arguments.json else printable(said))
    return 0


def switch_installed(name: str, on: bool) -> tuple[Path, bool]:
    """Switch a rule in the installed file that it stands in; (the file, whether that changed it).

    Raises: ValueError if no file has it or it can't be switched there; OSError.
    """
    for path in (*rule_paths(), paper_rules_path()):
        data = path.read_bytes()
        if name in rule_states(data):
            changed = switch_rules(data, {name: on})
            if changed != data:
                write_whole(path, changed, mode=path.stat().st_mode & 0o777)
            return path, changed != data
    raise ValueError(f"no rule is called {name!r} (ontoidps rules list)")


def files_in_force(settings: Settings | None) -> tuple[Path, ...]:
    """Ontology and rule files: the version in force, where the ontology agent of a honeynet keeps
    it on this host, else the installed ones."""
    states = [settings.state_dir / jid for jid in settings.jids("ontology")] if settings else []
    for state in states:
        store = KnowledgeStore(state / "rules")
        kept = store.read()
        if kept is not None:
            return reasoner_files(store.folder_of(kept[0].digest))
    return (ontology_path(), *rule_paths(), paper_rules_path())
