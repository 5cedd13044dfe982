"""The competency questions about what happened, asked of an archive, each with its right answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from agents.ontology.archive import Archive
from agents.ontology.descriptions import SERVICE_IRI, describe
from agents.ontology.query import QueryRunner
from ontology.authoring.documentation import competency_questions
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.records import Alert, Block, Decision, Incident, ObservedData
from rules.shipped_files import rule_paths

S = 1_000_000
NOW_US = time.time_ns() // 1000
"""Questions speak of the last hour."""
A, B, TARGET = (ip_address(text) for text in ("192.0.2.7", "192.0.2.8", "198.51.100.5"))


def alert(number: int, kind: str, source: object, sensor: str, **more: object) -> Alert:
    return Alert(
        id=f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        classification=kind,
        source=source,  # type: ignore[arg-type]
        target=TARGET,
        protocol=6,
        begin_us=NOW_US - (100 - number) * S,
        end_us=NOW_US,
        confidence=0.9,
        verified_source=source == A,
        sensor=sensor,
        analyzer="analyzer.gw1@x",
        explanation="",
        **more,  # type: ignore[arg-type]
    )


ALERTS = [
    alert(1, "SynScan", A, "sensor.gw1@x"),
    alert(2, "SshBruteForce", A, "sensor.gw2@x", users=("root",)),
    alert(3, "Exploit", B, "sensor.gw1@x", cves=("CVE-2021-44228",)),
]
INCIDENT = Incident(
    id="urn:uuid:i",
    classification="ScanThenBruteForceIncident",
    source=A,
    targets=(TARGET,),
    begin_us=NOW_US,
    end_us=NOW_US,
    severity=0.9,
    verified_source=True,
    rule="ScanThenBruteForce",
    alerts=(ALERTS[0].id, ALERTS[1].id),
    explanation="",
)
DONE = Decision(
    id="urn:uuid:d",
    action="block",
    source=A,
    target=TARGET,
    classification=INCIDENT.classification,
    incident=INCIDENT.id,
    origin="correlation.gw1@x",
    decided_us=NOW_US,
    duration_s=60,
    reason="",
)
BLOCK = Block(
    id="urn:uuid:b",
    decision=DONE.id,
    gateway="gw1",
    source=A,
    state="active",
    since_us=NOW_US,
    expires_us=NOW_US + 60 * S,
)
LEFT = ObservedData(
    id="urn:uuid:o",
    source=B,
    target=TARGET,
    observed_port=22,
    begin_us=NOW_US,
    end_us=NOW_US,
    verified_source=True,
    sensor="sensor.gw1@x",
    input_kind="cowrie",
    credentials=("root:root", "root:1234"),
    commands=("uname -a",),
    urls=("http://203.0.113.9/a",),
    file_hashes=("0d3c687f",),
)
EXPECTED = {
    "Who tried which credentials?": {"root:root", "root:1234"},
    "Which commands did visitors run, and how often?": {"uname -a"},
    "Where did visitors fetch programs from?": {"http://203.0.113.9/a"},
    "Which files were left, by their hashes, and by whom?": {"0d3c687f"},
    "Which technique of ATT&CK was seen how often?": {"T1046", "T1110.001", "T1210"},
    "Which sources did two sensors see in the last hour?": {str(A)},
    "Which rule never reported anything?": None,
    "Who is blocked, at which gateway, until when?": {str(A)},
    "Which rule led to the block of a source?": {"ScanThenBruteForce"},
    "Which hosts are attacked most?": {str(TARGET)},
    "Which vulnerabilities were tried, and how often?": {"CVE-2021-44228"},
    "Which incidents rest on what more than one sensor saw?": {"urn:uuid:i"},
    "Whose address can nobody else have used?": {str(A)},
    "Which decisions did no gateway carry out?": {"urn:uuid:e"},
    "Which accounts do attackers try?": {"root"},
    "Who searched before he attacked?": {str(A)},
    "Which alerts became part of no incident?": {ALERTS[2].id},
}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryRunner]:
    folder = tmp_path_factory.mktemp("state")
    archive = Archive(folder / "archive")
    undone = replace(DONE, id="urn:uuid:e", source=B)
    archive.add([*ALERTS, INCIDENT, DONE, undone, BLOCK, LEFT])
    paths = (ontology_path(), *rule_paths())
    with KnowledgeBase(paths) as knowledge:
        archive.set_ontology(knowledge.ntriples(), knowledge.version)
        rules = knowledge.rules()
    archive.set_graph(SERVICE_IRI, describe(paths, "1.0.0", rules, {}))
    yield QueryRunner(archive, folder, timeout_s=60.0)
    archive.close()


def test_there_are_forty_questions() -> None:
    assert len(competency_questions()) + len(competency_questions("archive")) >= 40
    assert {question for question, _ in competency_questions("archive")} == EXPECTED.keys()


@pytest.mark.parametrize(("question", "query"), competency_questions("archive"))
def test_the_archive_knows(runner: QueryRunner, question: str, query: str) -> None:
    rows = json.loads(runner.run(query)[0])["results"]["bindings"]
    found = {row["answer"]["value"] for row in rows}
    expected = EXPECTED[question]
    if expected is None:
        assert "ScanThenBruteForce" not in found and {"ScanThenExploit", "HoneypotExploit"} <= found
    else:
        assert found == expected
