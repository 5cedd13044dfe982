"""A switch changes one annotation, and not a byte more."""

from __future__ import annotations

import re

import pytest

from ontology.rule_switches import SwitchError, rule_states, switch_rules
from rules.shipped_files import paper_rules_path, rule_paths

SHIPPED = {path.name: path.read_bytes() for path in (*rule_paths(), paper_rules_path())}
SWRLA = b"http://swrl.stanford.edu/ontologies/3.3/swrla.owl#"


@pytest.mark.parametrize("name", SHIPPED)
def test_off_and_on_again_is_the_same_file(name: str) -> None:
    data = SHIPPED[name]
    label = list(rule_states(data))[-1]
    off = switch_rules(data, {label: False, "of another file": False})
    before, after = data.splitlines(), off.splitlines()
    (changed,) = (n for n in range(len(before)) if before[n] != after[n])
    assert after[changed] == before[changed].replace(b">true<", b">false<")
    assert [name for name, on in rule_states(off).items() if not on] == [label]
    assert switch_rules(off, {label: True}) == data


@pytest.mark.parametrize(
    ("what", "by"),
    [
        # Protégé leaves the annotation out, and another tool names its prefixes otherwise.
        (rb"\s*<swrla:isRuleEnabled.*>|\s*<owl:AnnotationProperty.*isRuleEnabled.*>", b""),
        (rb"swrla(:|=)", rb"x\1"),
        (
            rb"<swrl:Imp>",
            rb"<rdf:Description><rdf:type rdf:resource='http://www.w3.org/2003/11/swrl#Imp'/>",
        ),
    ],
)
def test_however_a_tool_has_written_it(what: bytes, by: bytes) -> None:
    data = re.sub(what, by, SHIPPED["correlation.owl"])
    if b"rdf:Description><rdf:type" in by:
        data = data.replace(b"</swrl:Imp>", b"</rdf:Description>")
    states = rule_states(data)
    assert len(states) == data.count(b"<rdfs:comment>")
    off = switch_rules(data, dict.fromkeys(states, False))
    assert not any(rule_states(off).values())
    assert b"AnnotationProperty" in off and off.count(SWRLA) >= 1


def test_what_can_not_be_switched_is_refused_and_not_spoilt() -> None:
    text = SHIPPED["correlation.owl"].decode().encode("utf-16")
    with pytest.raises((SwitchError, ValueError, SyntaxError)):
        switch_rules(text, {"ScanThenExploit": False})
