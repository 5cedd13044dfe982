from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from agents.main import main
from rules.shipped_files import models_path

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = models_path().parent
    for path in [source / "attacks.owl", *source.glob("reaction_*.tsv")]:
        shutil.copy(path, tmp_path)
    return tmp_path


def test_compile_writes_what_check_then_finds(folder: Path, capsys: Capture) -> None:
    assert main(["rules", "compile", str(folder), "--check"]) == 1
    assert "scenarios.owl: differs" in capsys.readouterr().out
    assert not (folder / "scenarios.owl").exists()
    figures = str(folder / "figures")
    assert main(["rules", "compile", str(folder), "--figures", figures, "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts["reaction_rules"] >= 1450 and counts["indirect"] > 0
    assert counts["anti_correlations"] > 0 and len(counts["changed"]) == 19
    assert main(["rules", "compile", str(folder), "--check", "--figures", figures]) == 0
    assert (folder / "anti_correlation.tsv").read_text().count("\t") > 50


def test_compile_tells_each_slip_in_a_line_and_writes_nothing(
    folder: Path, capsys: Capture
) -> None:
    path = folder / "attacks.owl"
    text = path.read_text().replace(">RpcProbe<", ">RpcProb<").replace(">Scan<", ">Scam<")
    path.write_text(text)
    assert main(["rules", "compile", str(folder)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5 and all("attacks.owl: model " in line for line in lines)
    assert not (folder / "scenarios.owl").exists()


def test_compile_of_nothing_is_one_line(tmp_path: Path, capsys: Capture) -> None:
    assert main(["rules", "compile", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "attacks.owl: No such file" in line


def test_list_shows_rules_models_and_reactions(capsys: Capture) -> None:
    assert main(["rules", "list", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"ScanThenExploit", "SynFloodThenSpoofedRemoteLogin"} <= {r["rule"] for r in rows}
    assert main(["rules", "list", "--models"]) == 0
    assert "spoofed-remote-login(" in capsys.readouterr().out
    assert main(["rules", "list", "--reactions", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) >= 1450 and all(row["reason"] for row in rows)


def test_the_papers_rules_are_shown_and_whether_they_are_in_force(
    tmp_path: Path, capsys: Capture
) -> None:
    def states(*more: str) -> dict[str, str]:
        assert main(["rules", "list", "--json", *more]) == 0
        rows = map(json.loads, capsys.readouterr().out.splitlines())
        return {row["rule"]: row["state"] for row in rows}

    found = states()
    assert found["ScanThenExploit"] == "in force"
    off = "not in force: policy.paper_rules is false"
    assert found["BlockCandidateByRisk"] == off
    settings = tmp_path / "honeynet.toml"
    settings.write_text(
        "[policy]\npaper_rules = true\n[[node]]\nname = 'gw1'\n"
        "agents = ['supervisor', 'ontology', 'correlation']\n"
    )
    assert set(states("--settings", str(settings)).values()) == {"in force"}
    assert main(["rules", "explain", "BlockCandidateByRisk"]) == 0
    said = capsys.readouterr().out
    assert off in said and "paper.owl" in said
    assert main(["rules", "list", "--settings", str(tmp_path / "gone.toml")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "gone.toml: No such file" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["SynFloodThenSpoofedRemoteLogin"], "deny-of-service(H1)"),
        (["ScanThenExploit"], "?a is a Scan; ?b is an Exploit"),
        (["HoneypotExploit"], "this rule can block a verified source from a confidence of 0.05"),
        (["BlockCandidateFinding"], "the source of the alert may be blocked"),
        (["spoofed-remote-login"], "undo-deny-of-service (deny-of-service(H1))"),
        (["SshBruteForce_ssh_honeypot"], "Allow keys only."),
        (["SshBruteForce", "ssh", "vital-server"], "only from known networks"),
        (["AckScan", "http", "gateway"], "AckScan_any_gateway"),
    ],
)
def test_explain(words: list[str], said: str, capsys: Capture) -> None:
    assert main(["rules", "explain", *words]) == 0
    assert said in capsys.readouterr().out


def test_explain_says_what_the_length_is_made_from(tmp_path: Path, capsys: Capture) -> None:
    settings = tmp_path / "honeynet.toml"
    settings.write_text(
        "[policy]\nban_length = 'persistence'\n[[node]]\nname = 'gw1'\n"
        "agents = ['supervisor', 'ontology', 'correlation']\n"
    )
    assert main(["rules", "explain", "HoneypotExploit", "--settings", str(settings)]) == 0
    assert (
        "for the length that persistence makes of its contacts, times the factor of the reaction "
        "rule, at most 604800 s"
    ) in " ".join(capsys.readouterr().out.split())
    settings.write_text(settings.read_text().replace("persistence", "forever"))
    assert main(["rules", "explain", "HoneypotExploit", "--settings", str(settings)]) == 1
    assert "ban_length" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Nothing"], "no rule, attack model or reaction rule is called 'Nothing'"),
        (["Hug", "ssh", "server"], "attack 'Hug' is no class under Attack"),
        (["Scan", "sssh", "server"], "service 'sssh' is not known"),
        (["Scan", "ssh", "toaster"], "asset 'toaster' is not known"),
        (["Scan", "ssh"], "got 2 words"),
    ],
)
def test_explain_of_what_is_not_known(words: list[str], said: str, capsys: Capture) -> None:
    assert main(["rules", "explain", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_rule_is_switched_where_it_is_installed_and_stays_so_when_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    source = models_path().parent
    for path in [*source.glob("*.owl"), *source.glob("reaction_*.tsv")]:
        shutil.copy(path, tmp_path)
    before = (tmp_path / "scenarios.owl").read_bytes()
    monkeypatch.setattr(
        "agents.commands.rules_switch.rule_paths",
        lambda: [tmp_path / "correlation.owl", tmp_path / "scenarios.owl"],
    )
    name = "SynFloodThenSpoofedRemoteLogin"
    assert main(["rules", "disable", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] is True
    assert main(["rules", "list", "--json"]) == 0
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    assert [row["rule"] for row in rows if row["state"] == "switched off"] == [name]
    assert main(["rules", "compile", str(tmp_path), "--check"]) == 1  # samples are not there yet
    assert "scenarios.owl" not in capsys.readouterr().out
    assert main(["rules", "enable", name]) == 0
    assert main(["rules", "enable", name]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1] == f"{name} enabled in {tmp_path}/scenarios.owl, as it was before"
    assert (tmp_path / "scenarios.owl").read_bytes() == before
    assert main(["rules", "disable", "Nothing"]) == 1
    assert "no rule is called 'Nothing'" in capsys.readouterr().err
    assert main(["rules", "disable", name, "--settings", "honeynet.toml"]) == 1
    assert "--reason is needed" in capsys.readouterr().err


def test_models_go_to_text_and_back(tmp_path: Path, capsys: Capture) -> None:
    text, owl = tmp_path / "models.txt", tmp_path / "attacks.owl"
    assert main(["rules", "export", "--out", str(text)]) == 0
    assert main(["rules", "import", str(text), "--out", str(owl)]) == 0
    assert main(["rules", "export", str(owl)]) == 0
    assert capsys.readouterr().out == text.read_text(encoding="utf-8")
    text.write_text(text.read_text(encoding="utf-8").replace("SynFlood\n", "SinFlood\n"))
    assert main(["rules", "import", str(text)]) == 1
    said = capsys.readouterr().err
    assert "evidencedBy 'SinFlood' is no class under Attack" in said and f"{text}:" in said
