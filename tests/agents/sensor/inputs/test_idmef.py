"""IDMEF in files: documents a line, messages over many."""

from __future__ import annotations

import json
from typing import Any

from agents.idmef.foreign_reports import Origin
from agents.sensor.inputs.events import Options
from agents.sensor.inputs.idmef import MAX_MEMORY, MAX_MESSAGE, IdmefParser
from agents.sensor.inputs.intake import Intake
from tests.agents.idmef.samples import PRELUDE, document

NOW_US = 1_795_000_000_000_000


def test_a_document_a_line(parse: Any) -> None:
    seen = parse("idmef", json.dumps(document()), json.dumps(document(ID="x")), "hello", " ")
    (alert,) = seen.alerts
    assert (alert.classification, alert.sensor, alert.confidence) == ("PortScan", "sensor", 0.45)
    assert not alert.verified_source
    assert alert.explanation.startswith("manager unnamed (prelude-nids) says: TCP port scan")
    counters = seen.counters
    assert (counters["claims"], counters["refused.report"], counters["unrelated"]) == (1, 1, 1)


def test_what_the_operator_thinks_of_its_manager_counts(parse: Any) -> None:
    origin = Origin(name="site-b", trust=0.8, verified=True)
    (alert,) = parse("idmef", json.dumps(document()), manager=origin).alerts
    assert alert.verified_source
    assert abs(alert.confidence - 0.72) < 1e-9


def test_messages_over_lines_and_on_one(parse: Any) -> None:
    split = parse("idmef", *PRELUDE.splitlines()).alerts
    assert [a.classification for a in split] == ["PortScan", "SshBruteForce"]
    one = PRELUDE.replace("\n", " ")
    assert len(parse("idmef", one + one.replace("d2e7", "d2e8"), one).alerts) == 4


def test_a_restart_in_the_middle_of_a_message() -> None:
    lines = [line.encode() for line in PRELUDE.splitlines()]
    first, second = IdmefParser(Options()), IdmefParser(Options())
    first.now_us = second.now_us = NOW_US
    assert not any(first.on_line(line) for line in lines[:20])
    second.remember(first.memory())
    found = [seen for line in lines[20:] for seen in second.on_line(line)]
    assert len(found) == 2


def test_a_message_without_an_end() -> None:
    intake = Intake(IdmefParser(Options()), sensor="sensor")
    lines = [line.encode() for line in PRELUDE.splitlines()]
    assert len(intake.on_lines([*lines[:20], *lines], "mark", NOW_US)) == 2
    assert intake.counters["refused.report"] == 1
    parser = intake.parser
    intake.on_lines([b"<IDMEF-Message>", *[b"x" * 60_000] * (MAX_MESSAGE // 60_000 + 1)], "m", 1)
    assert intake.counters["refused.overlong"] == 1
    assert len(parser.memory()) <= MAX_MEMORY


def test_what_is_refused_names_itself() -> None:
    intake = Intake(IdmefParser(Options()), sensor="sensor")
    bad = PRELUDE.replace("192.0.2.66", "192.0.2.666").replace("2001:db8::66", "nobody")
    assert intake.on_lines([bad.replace("\n", " ").encode()], "mark", NOW_US) == []
    assert intake.counters["refused.report"] == 2
    assert "alert 1, line 1: Source.Node.Address.address '192.0.2.666'" in intake.trouble()
