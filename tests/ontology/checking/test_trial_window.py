"""The window that a new rule is tried on contradicts nothing that the ontology says."""

from __future__ import annotations

from pyoxigraph import RdfFormat, parse

from ontology.checking.trial_window import trial_window
from ontology.swrl import RDF, read_rules
from ontology.vocabulary import IDPS
from rules.shipped_files import rule_paths
from tests.ontology.checking.rule_texts import known, rule


def test_a_signature_is_no_alert() -> None:
    """The classes are disjoint: a window with both in one refuses every rule that reads them."""
    text = rule_paths()[0].read_text(encoding="utf-8")
    names = "".join(f'<swrl:Variable rdf:about="urn:swrl:var#{v}"/>' for v in "as")
    asks = "matchedSignature(?a, ?s), signatureId(?s, 2019401^^integer) -> FloodFinding(?a)"
    text = text.replace("</rdf:RDF>", f"{names}{rule(asks)}</rdf:RDF>")
    triples = [quad.triple for quad in parse(text.encode(), format=RdfFormat.RDF_XML)]
    (tried,) = (found for found in read_rules(triples) if found.label == "Tried")
    window = trial_window(tried, known(), 60)
    kinds: dict[str, set[str]] = {}
    for quad in parse(window.ntriples, format=RdfFormat.N_TRIPLES):
        if quad.predicate.value == RDF + "type":
            kinds.setdefault(str(quad.subject), set()).add(quad.object.value)
    assert len(kinds) == 60
    assert sorted(map(sorted, kinds.values())) == [[IDPS.Alert]] * 30 + [[IDPS.Signature]] * 30
