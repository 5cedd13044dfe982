"""`ontoidps replay` on captures, to its printed lines; its JSON as docs/json.md describes it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from agents.main import main
from datasets.captures.pcap import read_capture
from datasets.recipe.traffic import SAMPLES

ROOT = Path(__file__).parents[3]
FIRST = {"type", "source", "target", "class", "time", "explanation"}


def replay(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    assert main(["replay", "--json", *words]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def sample(name: str) -> str:
    return str(SAMPLES / f"{name}.pcap.xz")


def documented(section: str) -> set[str]:
    """Keys of one table of docs/json.md."""
    text = "\n" + (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    table = re.split(r"\n##? ", text.partition(section)[2])[0]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.M)
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


@pytest.fixture
def attack(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """A scan, then password guessing, against the same honeypot."""
    files = (sample("connect-scan"), sample("ftp-guess"))
    return replay(capsys, "--join", "--honeypot", "192.0.2.80", *files)


def test_scan_then_guessing_ends_as_a_decision_with_its_reasons(
    attack: list[dict[str, Any]],
) -> None:
    decisions = [line for line in attack if line["type"] == "decision"]
    assert {d["source"] for d in decisions} == {"192.0.2.66"}
    incidents = {line["id"]: line for line in attack if line["type"] == "incident"}
    incident = incidents[decisions[0]["incident"]]
    before = attack[: attack.index(incident)]
    alerts = {line["id"]: line["stage"] for line in before if line["type"] == "alert"}
    assert {alerts[name] for name in incident["alerts"]} == {"senior"}
    assert incident["rule"] in incident["explanation"] and decisions[0]["explanation"]


def test_what_the_rules_saw_is_one_file_that_gives_the_same_conclusions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(tmp_path / "replay.owl")
    files = (sample("connect-scan"), sample("ftp-guess"))
    lines = replay(capsys, "--join", "--honeypot", "192.0.2.80", "--owl", file, *files)
    rules = {line["rule"] for line in lines if line["type"] == "incident"}
    assert main(["ontology", "run", file, "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rules <= {line["rule"] for line in found}
    assert "BlockCandidate" in {line["conclusion"] for line in found}
    assert main(["replay", "--owl", file, *files]) == 1
    assert "--owl wants one capture, or --join" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["alert", "incident", "decision"])
def test_every_key_is_documented_and_every_documented_key_is_there(
    kind: str, attack: list[dict[str, Any]]
) -> None:
    lines = [line for line in attack if line["type"] == kind]
    assert lines
    general = documented("\n# JSON lines")
    assert general >= FIRST
    for line in lines:
        assert list(line)[:6] == ["type", "source", "target", "class", "time", "explanation"]
        assert set(line) == general | documented(f"\n## {kind}\n")


def test_the_packets_that_an_alert_rests_on_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "evidence"
    words = [sample("ftp-guess"), "--evidence", str(folder)]
    assert main(["replay", *words]) == 0
    told = capsys.readouterr().out
    written = sorted(folder.iterdir())
    assert written and {path.name.partition("-")[0] for path in written} <= set(told.split())
    for path in written:
        assert f"{path}: packet " in told
        assert sum(len(raw) for raw in read_capture(path)) > 0
    assert main(["replay", *words]) == 1
    assert "not empty" in capsys.readouterr().err


def test_a_replay_can_be_repeated(
    attack: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    again = replay(
        capsys, "--join", "--honeypot", "192.0.2.80", sample("connect-scan"), sample("ftp-guess")
    )
    assert again == attack


def test_normal_traffic_decides_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    names = sorted(str(path) for path in SAMPLES.glob("benign-*"))
    assert {line["type"] for line in replay(capsys, *names)} <= {"alert"}


def test_an_allowed_address_is_never_decided_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "honeynet.toml"
    file.write_text(
        '[policy]\nallow = ["192.0.2.66"]\n[[node]]\nname = "gw1"\n'
        'agents = ["supervisor", "correlation", "ontology"]\n'
        '[[honeypot]]\naddress = "192.0.2.80"\nnode = "gw1"\n'
    )
    files = (sample("connect-scan"), sample("ftp-guess"))
    found = replay(capsys, "--join", "--config", str(file), *files)
    assert {line["type"] for line in found} == {"alert"}


def test_a_bad_capture_is_one_line_and_the_next_gets_its_turn(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad = tmp_path / "bad\x1b[31m.pcap"
    bad.write_bytes(b"this is no capture")
    assert main(["replay", "--json", str(bad), sample("fin-scan")]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "\x1b" not in said.err
    assert any(json.loads(line)["class"] == "FinScan" for line in said.out.splitlines())


def test_a_missing_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "/nonexistent.pcap"]) == 1
    assert capsys.readouterr().err == "ontoidps replay: /nonexistent.pcap: no such file\n"
