"""Alerts to Turtle and back: `ontology.fragments` against the same mapping done with rdflib.

    python benchmarks/bench_fragments.py

Both sides run in this process, in turns, on the same alerts; the best of several turns counts. The
rdflib side checks nothing, so that the ratio is a lower bound.
"""

from __future__ import annotations

import gc
import time
import uuid
from collections.abc import Callable
from ipaddress import ip_address

import rdflib
from rdflib import RDF, XSD, Graph, Namespace, URIRef

from ontology._shapes import SHAPES
from ontology.fragments import decode, encode
from ontology.records import Alert
from ontology.vocabulary import HOST_PREFIX, NAMESPACE

IDPS = Namespace(NAMESPACE)
SHAPE = SHAPES[Alert]
TURNS = 7


def make_alerts(number: int) -> list[Alert]:
    """Alerts of one scan, as an analyzer batches them: few sources, few targets."""
    return [
        Alert(
            id=f"urn:uuid:{uuid.UUID(int=i + (4 << 76) + (2 << 62))}",
            classification="SynScan",
            source=ip_address(f"192.0.2.{i % 5 + 1}"),
            target=ip_address("2001:db8::17"),
            target_port=22,
            protocol=6,
            begin_us=1_700_000_000_000_000 + i,
            end_us=1_700_000_001_000_000 + i,
            count=500,
            confidence=0.93,
            verified_source=False,
            sensor="sensor.gw1@honeynet.example",
            analyzer="analyzer.gw1@honeynet.example",
            explanation="192.0.2.1 sent SYN to 500 ports of 2001:db8::17 in 1.0 s; 490 refused",
        )
        for i in range(number)
    ]


def rdflib_encode(alerts: list[Alert]) -> str:
    graph = Graph()
    graph.bind("idps", IDPS)
    for alert in alerts:
        subject = URIRef(alert.id)
        graph.add((subject, RDF.type, IDPS.Alert))
        graph.add((subject, RDF.type, IDPS[alert.classification]))
        for entry in SHAPE.properties:
            value = getattr(alert, entry.field)
            for item in value if entry.many else () if value is None else (value,):
                term = entry.write(item)
                node: rdflib.term.Node
                if entry.datatype is None:
                    node = URIRef(term.value)
                    graph.add((node, RDF.type, IDPS.Host))
                    graph.add((node, IDPS.ipAddress, rdflib.Literal(str(item))))
                    graph.add((node, IDPS.addressFamily, rdflib.Literal(item.version)))
                elif entry.datatype.value == str(XSD.string):
                    node = rdflib.Literal(item)
                else:
                    node = rdflib.Literal(term.value, datatype=URIRef(entry.datatype.value))
                graph.add((subject, URIRef(entry.term), node))
    return graph.serialize(format="turtle")


def rdflib_decode(text: str) -> list[Alert]:
    graph = Graph().parse(data=text, format="turtle")
    alerts = []
    for subject in graph.subjects(RDF.type, IDPS.Alert):
        arguments: dict[str, object] = {"id": str(subject)}
        for entry in SHAPE.properties:
            if entry.read is None:
                continue
            values = [
                ip_address(str(v).removeprefix(HOST_PREFIX))
                if isinstance(v, URIRef)
                else v.toPython()  # type: ignore[attr-defined]
                for v in graph.objects(subject, URIRef(entry.term))
            ]
            arguments[entry.field] = tuple(values) if entry.many else next(iter(values), None)
        (name,) = (t for t in graph.objects(subject, RDF.type) if t != IDPS.Alert)
        arguments["classification"] = str(name).removeprefix(NAMESPACE)
        alerts.append(Alert(**arguments))  # type: ignore[arg-type]
    return alerts


def best(function: Callable[[], object], repeats: int) -> float:
    """Seconds per call, of the fastest turn."""
    found = float("inf")
    for _ in range(TURNS):
        started = time.perf_counter()
        for _ in range(repeats):
            function()
        found = min(found, (time.perf_counter() - started) / repeats)
    return found


def main() -> None:
    gc.freeze()
    print(f"{'alerts':>6} {'':<8} {'ours us/alert':>14} {'rdflib us/alert':>16} {'ratio':>7}")
    for number in (1, 10, 50):
        alerts = make_alerts(number)
        text = encode(alerts)
        foreign = rdflib_encode(alerts)
        assert list(decode(text)) == alerts
        assert sorted(rdflib_decode(foreign), key=lambda a: a.id) == alerts
        assert Graph().parse(data=text).isomorphic(Graph().parse(data=foreign))
        for name, ours, theirs in (
            ("encode", lambda a=alerts: encode(a), lambda a=alerts: rdflib_encode(a)),
            ("decode", lambda t=text: decode(t), lambda t=foreign: rdflib_decode(t)),
        ):
            fast = best(ours, max(2, 400 // number)) / number * 1e6
            slow = best(theirs, max(1, 20 // number)) / number * 1e6
            print(f"{number:>6} {name:<8} {fast:>14.1f} {slow:>16.1f} {slow / fast:>7.1f}")


if __name__ == "__main__":
    main()
