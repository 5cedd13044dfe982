"""``ontoidps ontology check|clusters|document|import-signatures|show|terms``: knowledge in and
out."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

from pyoxigraph import Literal, NamedNode, parse

from agents.analyzer.core import SHIPPED_MODEL, load_model
from agents.analyzer.labelled_cases import CASES
from agents.commands import ontology_check, ontology_export, ontology_knowledge, ontology_run
from agents.commands.replay import printable
from agents.commands.train import clusters_file_of, write_clusters_file
from datasets.recipe.traffic import SAMPLES
from ontology.authoring.documentation import document
from ontology.authoring.figures import class_tree, rule_graph
from ontology.authoring.window_table import window_table
from ontology.knowledge_base import KnowledgeBase, ontology_path, read_owl_file
from ontology.swrl import read_rules
from ontology.taxonomy import installed
from ontology.vocabulary import IDPS
from rules.shipped_files import paper_rules_path, rule_paths, sample_paths, scenario_samples_path
from rules.signatures.individuals import FORMATS, write_signatures
from rules.signatures.parse import SignatureSet, load_signatures

_OWL = "http://www.w3.org/2002/07/owl#"
_TYPE = NamedNode("http://www.w3.org/1999/02/22-rdf-syntax-ns#type")
_SWRL_RULE = NamedNode("http://www.w3.org/2003/11/swrl#Imp")
_COUNTED = {
    NamedNode(_OWL + "Class"): "classes",
    NamedNode(_OWL + "ObjectProperty"): "object properties",
    NamedNode(_OWL + "DatatypeProperty"): "data properties",
    NamedNode(_OWL + "AnnotationProperty"): "annotation properties",
    _SWRL_RULE: "rules",
    NamedNode(_OWL + "NamedIndividual"): "individuals",
    NamedNode(IDPS.Signature): "signatures",
    NamedNode(IDPS.TrafficCluster): "clusters",
    NamedNode(IDPS.TrafficCase): "cases",
}
_SHOWN = 20
"""Reasons and faults listed without ``--all``."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")
    ontology_check.add_arguments(words)
    ontology_knowledge.add_arguments(words)
    ontology_run.add_arguments(words)
    ontology_export.add_arguments(words)
    documenter = words.add_parser(
        "document", help="the ontology's METHONTOLOGY documents, as Markdown"
    )
    documenter.add_argument("--out", type=Path, metavar="FILE", help="default: standard output")
    documenter.add_argument("--figures", type=Path, metavar="DIR", help="also its pictures, as SVG")
    importer = words.add_parser(
        "import-signatures", help="Snort or Suricata rules to individuals of class Signature"
    )
    importer.add_argument("rules", nargs="+", type=Path, metavar="FILE", help="or a folder of them")
    importer.add_argument(
        "--out", required=True, type=Path, metavar="FILE", help="ending in .ttl, .owl or .nt"
    )
    importer.add_argument("--all", action="store_true", help="list every reason and fault")
    importer.add_argument("--json", action="store_true", help="one JSON object")
    maker = words.add_parser(
        "clusters", help="the clusters of a model and labelled cases, as individuals"
    )
    maker.add_argument(
        "captures", type=Path, nargs="?", default=SAMPLES, help="what it was trained on"
    )
    maker.add_argument(
        "--model", type=Path, default=SHIPPED_MODEL, metavar="FILE", help="default: the shipped one"
    )
    maker.add_argument("--out", type=Path, metavar="FILE", help="default: next to the model")
    maker.add_argument("--cases", type=int, default=CASES, help=f"at most; default: {CASES}")
    words.add_parser("terms", help="what rules can ask for, because windows hold it, as Markdown")
    shower = words.add_parser("show", help="count what files hold")
    shower.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="default: the ontology and its rules"
    )
    shower.add_argument("--json", action="store_true", help="one JSON object a file")


def run(arguments: argparse.Namespace) -> int:
    """0 if everything was read; an import with lines that can't be read gives 1."""
    if arguments.word == "check":
        return ontology_check.run(arguments)
    if arguments.word in ontology_knowledge.WORDS:
        return ontology_knowledge.run(arguments)
    if arguments.word == "export":
        return ontology_export.run(arguments)
    if arguments.word == "run":
        return ontology_run.run(arguments)
    if arguments.word == "document":
        page = ontology_page()
        if arguments.out is None:
            print(page, end="")
        else:
            arguments.out.write_text(page, encoding="utf-8")
        if arguments.figures is not None:
            for name, svg in ontology_figures().items():
                (arguments.figures / name).write_text(svg, encoding="utf-8")
        return 0
    if arguments.word == "terms":
        print(window_table(read_owl_file(ontology_path())), end="")
        return 0
    if arguments.word == "show":
        for path in arguments.files or (ontology_path(), *rule_paths()):
            _show(path, as_json=arguments.json)
        return 0
    if arguments.word == "clusters":
        _clusters(arguments)
        return 0
    if arguments.out.suffix not in FORMATS:
        raise ValueError(f"--out {str(arguments.out)!r}: must end in {', '.join(FORMATS)}")
    loaded = load_signatures(arguments.rules)
    write_signatures(loaded.signatures, arguments.out)
    _report(loaded, arguments.out, everything=arguments.all, as_json=arguments.json)
    return 1 if loaded.faults else 0


def ontology_page() -> str:
    """What ``docs/ontology.md`` must be."""
    samples = {path.stem: f"`rules/samples/{path.name}`" for path in sample_paths()}
    generated = scenario_samples_path()
    for sample in json.loads(generated.read_text(encoding="utf-8")):
        samples[sample["rule"]] = f"`rules/{generated.name}`"
    with KnowledgeBase([ontology_path(), *rule_paths(), paper_rules_path()]) as knowledge:
        return document(knowledge, samples)


def ontology_figures() -> dict[str, str]:
    """File name → SVG of the pictures in ``docs/figures`` that show the ontology."""
    below: dict[str, list[str]] = {}
    for name, parents in installed().parents.items():
        for parent in parents:
            below.setdefault(parent, []).append(name)
    rules = {
        rule.label: rule
        for path in rule_paths()
        for rule in read_rules(read_owl_file(path).triples)
    }
    return {
        "attack-classes.svg": class_tree(below, "Attack"),
        "rule-scan-then-exploit.svg": rule_graph(rules["ScanThenExploit"]),
    }


def _clusters(arguments: argparse.Namespace) -> None:
    if arguments.cases < 0:
        raise ValueError(f"--cases {arguments.cases}: must not be negative")
    model = load_model(arguments.model)
    out = arguments.out or clusters_file_of(arguments.model)
    cases = write_clusters_file(arguments.captures, model, out, most=arguments.cases)
    print(f"{len(model.labels)} clusters, {cases} cases to {printable(out)}")


def _report(loaded: SignatureSet, out: Path, *, everything: bool, as_json: bool) -> None:
    total = len(loaded.signatures)
    whole = sum(s.executable for s in loaded.signatures)
    enabled = sum(s.enabled for s in loaded.signatures)
    reasons = loaded.reasons()
    classes = Counter(s.attack_class or "no attack" for s in loaded.signatures)
    if as_json:
        result = {
            "out": str(out),
            "signatures": total,
            "enabled": enabled,
            "executable": whole,
            "executable_enabled": len(loaded.executable),
            "repeated": loaded.repeated,
            "faults": [f"{f.path}:{f.line}: {f.reason}" for f in loaded.faults],
            "unsupported": dict(reasons.most_common()),
            "classes": dict(classes.most_common()),
            "with_cve": sum(bool(s.cves) for s in loaded.signatures),
            "with_system": sum(bool(s.systems) for s in loaded.signatures),
        }
        print(json.dumps(result))
        return
    print(
        f"{total} signatures to {printable(out)}: {enabled} enabled; {whole} fully executable "
        f"({whole / max(total, 1):.1%}), of them {len(loaded.executable)} enabled"
    )
    limit = None if everything else _SHOWN
    print("attack classes: " + ", ".join(f"{n} {c}" for c, n in classes.most_common()))
    if reasons:
        print("kept from being executable (signatures, option):")
    for reason, count in reasons.most_common(limit):
        print(f"  {count:6}  {printable(reason)}")
    if limit is not None and len(reasons) > limit:
        print(f"  and {len(reasons) - limit} more (--all)")
    for signature in loaded.signatures:
        # Without a rule that silences, others say more than they should: always named.
        if not signature.executable and (everything or (signature.silences and signature.enabled)):
            kind = "pass rule " if signature.silences else ""
            why = "; ".join(signature.unsupported)
            print(f"not executable: {kind}{signature.gid}:{signature.sid}: {printable(why)}")
    for fault in loaded.faults[:limit]:
        print(f"unreadable: {printable(fault.path)}:{fault.line}: {printable(fault.reason)}")


def _show(path: Path, *, as_json: bool) -> None:
    """Streamed: a file of signatures may be much larger than the ontology."""
    counts: Counter[str] = Counter()
    attack, executable = Counter[str](), 0
    if path.suffix not in FORMATS:
        raise ValueError(f"{str(path)!r}: must end in {', '.join(FORMATS)}")
    try:
        for triple in parse(path=path, format=FORMATS[path.suffix]):
            if triple.predicate == _TYPE and triple.object in _COUNTED:
                counts[_COUNTED[triple.object]] += 1
            elif isinstance(triple.object, Literal):
                if triple.predicate.value == IDPS.attackClass:
                    attack[triple.object.value] += 1
                elif triple.predicate.value == IDPS.executable:
                    executable += triple.object.value == "true"
    except SyntaxError as e:
        raise ValueError(f"{str(path)!r}: {e.msg}") from e
    if as_json:
        print(
            json.dumps(
                {"file": str(path), **counts, "executable": executable, "attack": dict(attack)}
            )
        )
        return
    print(printable(path))
    for name in _COUNTED.values():
        if counts[name]:
            print(f"  {counts[name]:6}  {name}")
    if counts["signatures"]:
        print(f"  {executable:6}    of them fully executable")
        for name, count in attack.most_common():
            print(f"  {count:6}    of attack class {printable(name)}")
