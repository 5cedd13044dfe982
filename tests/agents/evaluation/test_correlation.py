"""What the engine made of labelled alerts, and the figures of it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from agents.correlation.engine import CorrelationEngine
from agents.evaluation.correlation import Originals, correlate
from agents.settings.honeynet import Policy
from datasets.alert_sets.labelled import LabelledAlert
from ontology.reasoner.inferences import DerivedPair, Explanation, Inferences
from ontology.reasoner.window import Window
from ontology.records import Alert

S = 1_000_000


def labelled(
    number: int, class_: str, at_s: int, *, related: bool | None, source: str = "192.0.2.1"
) -> LabelledAlert:
    alert = Alert(
        id=f"urn:uuid:{number:032x}",
        classification=class_,
        source=ip_address(source),
        target=ip_address("203.0.113.5"),
        target_port=22,
        protocol=6,
        begin_us=at_s * S,
        end_us=at_s * S,
        confidence=0.9,
        verified_source=True,
        sensor="s",
        analyzer="a",
        explanation="x",
    )
    return LabelledAlert(alert, f"n{number}", related, "phase" if related else "")


class ScanThenExploit:
    """Joins every scan of a window with every exploit of the same source in it."""

    def reason(self, window: Window, timeout_s: float) -> Inferences:
        triples = [line.split() for line in window.ntriples.decode().splitlines()]
        source = {s: o for s, p, o, *_ in triples if p.endswith("#hasSource>")}

        def of(name: str) -> list[str]:
            return [s for s, _, o, *_ in triples if o.endswith(f"#{name}>")]

        why = Explanation("ScanThenExploit", "", ("ScanThenExploit",), ())
        return Inferences(
            tuple(
                DerivedPair("scanThenExploit", scan[1:-1], exploit[1:-1], why)
                for scan in of("SynScan")
                for exploit in of("BufferOverflow")
                if source[scan] == source[exploit]
            )
        )


GIVEN = (
    labelled(1, "SynScan", 100, related=True),
    labelled(2, "SynScan", 110, related=True),
    labelled(3, "SynScan", 500, related=False),
    labelled(4, "BufferOverflow", 600, related=True),
    labelled(5, "SynScan", 900, related=True, source="192.0.2.77"),
    labelled(6, "UnknownAnomaly", 950, related=None),
)


def test_completeness_and_soundness_are_nings() -> None:
    engine = CorrelationEngine((), Policy(), origin="t", reasoner=ScanThenExploit())
    result = correlate(GIVEN, engine)
    m = result.metrics
    assert (m.alerts, m.junior, m.fused, m.incidents) == (6, 6, 5, 1)
    # Two scans that were fused, one of nobody's attack, and the exploit are joined.
    assert (m.completeness, m.soundness, m.false_alert_rate) == (3 / 4, 3 / 4, 1 / 4)
    assert m.reduction == 1 - 1 / 6
    (told,) = result.more()["incidents"]
    assert told["alert_ids"] == ["n1", "n2", "n3", "n4"]
    assert told["phases"] == ["SynScan", "BufferOverflow"]
    assert told["sources"] == ["192.0.2.1"] and told["targets"] == ["203.0.113.5"]
    assert told["edges"] == [
        {"from": "n1", "to": "n4", "rule": "ScanThenExploit"},
        {"from": "n3", "to": "n4", "rule": "ScanThenExploit"},
    ]


def test_without_truth_there_are_no_rates() -> None:
    engine = CorrelationEngine((), Policy(), origin="t", reasoner=ScanThenExploit())
    given = [replace(one, related=None, phase="") for one in GIVEN]
    metrics = correlate(given, engine).metrics
    assert metrics.completeness is metrics.soundness is metrics.false_alert_rate is None
    assert metrics.incidents == 1


def test_originals_of_a_senior_alert() -> None:
    originals = Originals(GIVEN)
    assert originals.of(replace(GIVEN[0].alert, end_us=110 * S)) == ["n1", "n2"]
    assert originals.of(replace(GIVEN[0].alert, source=ip_address("192.0.2.9"))) == []
