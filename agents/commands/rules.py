"""``ontoidps rules WORD``: rules, attack models, reaction rules; shown, switched, compiled."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

from agents.commands import rules_switch, rules_text
from agents.commands.replay import printable
from agents.commands.rules_explain import explain_rule
from agents.commands.rules_switch import files_in_force
from agents.settings.honeynet import Policy, load_settings
from ontology.knowledge_base import KnowledgeBase, RuleInfo
from ontology.taxonomy import ATTACK_CLASSES
from rules.reactions.policy_tables import ANY, ReactionRule
from rules.reactions.reaction_rules import Reactions, shipped_reactions
from rules.scenarios.attack_models import Model
from rules.scenarios.compile import Compiled
from rules.scenarios.compiled_files import compile_folder, differing, write_files
from rules.shipped_files import PAPER_FILE, rule_paths, shipped_models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")
    lister = words.add_parser("list", help="rules, one a line")
    lister.add_argument("--reactions", action="store_true", help="the reaction rules")
    lister.add_argument("--models", action="store_true", help="the attack models")
    lister.add_argument("--json", action="store_true", help="one JSON object a line")
    _add_settings(lister)
    rules_switch.add_arguments(words)
    rules_text.add_arguments(words)
    compiler = words.add_parser(
        "compile", help="attack models and policy tables to rules, samples and drawings"
    )
    compiler.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="FOLDER",
        help="with attacks.owl and reaction_*.tsv; default: the shipped rules",
    )
    compiler.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where to write; default: the same folder"
    )
    compiler.add_argument(
        "--figures", type=Path, metavar="FOLDER", help="also draw the attack graphs there, as SVG"
    )
    compiler.add_argument(
        "--check", action="store_true", help="write nothing; 1 if a file would change"
    )
    compiler.add_argument("--json", action="store_true", help="one JSON object")
    explainer = words.add_parser("explain", help="what a rule or model means, or an attack's fate")
    explainer.add_argument(
        "words",
        nargs="+",
        metavar="NAME",
        help="a rule's label or a model's name; or ATTACK SERVICE ASSET (any, unknown)",
    )
    explainer.add_argument("--json", action="store_true", help="one JSON object")
    _add_settings(explainer)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings",
        type=Path,
        metavar="FILE",
        help="honeynet.toml: what is in force there, if its ontology agent is on this host; "
        "default: the installed files",
    )


def run(arguments: argparse.Namespace) -> int:
    """0; with ``compile --check`` 1 if a file is not what the models and tables give."""
    if arguments.word == "list":
        return _list(arguments)
    if arguments.word == "compile":
        return _compile(arguments)
    if arguments.word in rules_switch.WORDS:
        return rules_switch.run(arguments)
    if arguments.word in rules_text.WORDS:
        return rules_text.run(arguments)
    return _explain(arguments)


def _list(arguments: argparse.Namespace) -> int:
    if arguments.reactions:
        _print((_reaction(rule) for rule in shipped_reactions().rules), arguments.json)
    elif arguments.models:
        _print((_model(model) for model in shipped_models().models.models), arguments.json)
    else:
        rules, policy = _rules(arguments)
        _print((_rule(rule, policy) for rule in rules), arguments.json)
    return 0


def _print(rows: Iterable[dict[str, object]], as_json: bool) -> None:
    for row in rows:
        if as_json:
            print(json.dumps(row))
        else:
            first, *rest = (_shown(value) for value in row.values())
            print(printable(f"{first}  {' · '.join(text for text in rest if text)}"))


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return str(value)


def _compile(arguments: argparse.Namespace) -> int:
    folder = arguments.folder or rule_paths()[0].parent
    try:
        result = compile_folder(folder)
    except ValueError as e:
        # Each slip on a line of its own: there may be several, and all are to be mended.
        for line in str(e).splitlines():
            print(f"ontoidps rules: {printable(line)}", file=sys.stderr)
        return 1
    out = arguments.out or folder
    files = {out / name: text for name, text in result.files.items()}
    if arguments.figures is not None:
        files |= {arguments.figures / name: text for name, text in result.figures.items()}
    changed = differing(files)
    if not arguments.check:
        write_files(files)
    compiled = result.compiled
    counts = {
        "models": len(compiled.models.models),
        "correlations": len(compiled.links),
        "indirect": sum(bool(link.through) for link in compiled.links),
        "anti_correlations": len(compiled.anti_links),
        "rules": len(compiled.steps) + len(compiled.objectives),
        "towards_objectives": len(compiled.objectives),
        "reaction_rules": result.reaction_rules,
        "changed": [str(path) for path in changed],
    }
    if arguments.json:
        print(json.dumps(counts))
    else:
        print(
            f"{counts['models']} models: {counts['correlations']} correlations, "
            f"{counts['indirect']} of them indirect; {counts['anti_correlations']} "
            f"anti-correlations; {counts['rules']} rules, {counts['towards_objectives']} of them "
            f"towards objectives; {counts['reaction_rules']} reaction rules"
        )
        verb = "differs" if arguments.check else "written"
        for path in changed:
            print(f"{printable(path)}: {verb}")
    return 1 if arguments.check and changed else 0


def _explain(arguments: argparse.Namespace) -> int:
    words: list[str] = arguments.words
    as_json: bool = arguments.json
    compiled, reactions = shipped_models(), shipped_reactions()
    if len(words) == 3:
        _tell(_chosen(words, reactions), as_json)
        return 0
    if len(words) != 1:
        raise ValueError(
            f"explain takes one name, or three words ATTACK SERVICE ASSET; got {len(words)} words"
        )
    name = words[0]
    rules, policy = _rules(arguments)
    for rule in rules:
        if rule.label == name:
            told = explain_rule(name, _paths(arguments), policy)
            where = {"text": rule.text, "file": rule.path.name}
            _tell(_rule(rule, policy) | told | where, as_json)
            return 0
    for model in compiled.models.models:
        if model.name == name:
            _tell(_model(model) | _relations(model, compiled), as_json)
            return 0
    for reaction in reactions.rules:
        if reaction.name == name:
            _tell(_reaction(reaction), as_json)
            return 0
    raise ValueError(f"no rule, attack model or reaction rule is called {name!r}")


def _chosen(words: list[str], reactions: Reactions) -> dict[str, object]:
    attack, service, asset = words
    if attack not in ATTACK_CLASSES | {"Attack"}:
        raise ValueError(f"attack {attack!r} is no class under Attack")
    if service != ANY and service not in reactions.services:
        raise ValueError(
            f"service {service!r} is not known ({', '.join((ANY, *reactions.services))})"
        )
    if asset not in reactions.assets:
        raise ValueError(f"asset {asset!r} is not known ({', '.join(reactions.assets)})")
    return _reaction(reactions.find(attack, service, asset))


def _tell(row: dict[str, object], as_json: bool) -> None:
    if as_json:
        print(json.dumps(row))
        return
    for key, value in row.items():
        if value not in ("", []):
            print(printable(f"{key + ':':<12} {_shown(value)}"))


def _rules(arguments: argparse.Namespace) -> tuple[tuple[RuleInfo, ...], Policy]:
    """Raises: SettingsError"""
    settings = None if arguments.settings is None else load_settings(arguments.settings)
    with KnowledgeBase(files_in_force(settings)) as base:
        return base.rules(), Policy() if settings is None else settings.policy


def _paths(arguments: argparse.Namespace) -> tuple[Path, ...]:
    return files_in_force(None if arguments.settings is None else load_settings(arguments.settings))


def _rule(rule: RuleInfo, policy: Policy) -> dict[str, object]:
    state = "in force"
    if not rule.enabled:
        state = "switched off"
    elif rule.path.name == PAPER_FILE and not policy.paper_rules:
        state = "not in force: policy.paper_rules is false"
    return {"rule": rule.label, "state": state, "meaning": rule.comment}


def _model(model: Model) -> dict[str, object]:
    return {
        "model": model.title,
        "kind": model.kind,
        "meaning": model.comment,
        "needs": [str(condition) for condition in model.pre],
        "gives": [str(condition) for condition in model.post],
        "alerts": list(model.evidence),
        "scenarios": list(model.scenarios),
        "ports": list(model.ports),
        "cves": list(model.cves),
        "attack": [*model.tactics, *model.techniques],
        "d3fend": list(model.d3fend),
    }


def _relations(model: Model, compiled: Compiled) -> dict[str, object]:
    def by(through: tuple[str, ...]) -> str:
        return f" by {', '.join(through)}" if through else ""

    return {
        "after": [
            f"{link.earlier.name} ({link.condition}{by(link.through)})"
            for link in compiled.links
            if link.later is model
        ],
        "before": [
            f"{link.later.name} ({link.condition}{by(link.through)})"
            for link in compiled.links
            if link.earlier is model
        ],
        "prevented by": [
            f"{anti.measure.name} ({anti.condition})"
            for anti in compiled.anti_links
            if anti.step is model
        ],
        "prevents": [
            f"{anti.step.name} ({anti.condition})"
            for anti in compiled.anti_links
            if anti.measure is model
        ],
    }


def _reaction(rule: ReactionRule) -> dict[str, object]:
    said = rule.response
    return {
        "rule": rule.name,
        "attack": rule.attack,
        "service": rule.service,
        "asset": rule.asset,
        "response": said.response,
        "factor": float(said.factor),
        "d3fend": said.d3fend,
        "reason": said.reason,
        "advice": said.advice,
    }
