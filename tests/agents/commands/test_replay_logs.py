"""`ontoidps replay --input`: logs of other tools, offline."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from agents.main import main

EVENTS = (
    ("session.connect", {"src_port": 40001, "dst_port": 2222, "dst_ip": "172.17.0.3"}),
    *[("login.failed", {"username": "root", "password": str(number)}) for number in range(9)],
    ("login.success", {"username": "root", "password": "x"}),
    ("command.input", {"input": "uname -a"}),
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "cowrie.json.gz"
    with gzip.open(path, "wt") as file:
        for number, (name, values) in enumerate(EVENTS):
            event: dict[str, Any] = {
                "eventid": f"cowrie.{name}",
                "session": "1",
                "src_ip": "192.0.2.66",
                "timestamp": f"2025-11-16T17:44:{number:02}.000000Z",
            }
            file.write(json.dumps(event | values) + "\n")
        file.write("no json\n")
    return path


def test_a_break_in_at_a_decoy_ends_as_a_decision(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["replay", "--json", "--input", f"cowrie:{log}", "--honeypot", "172.17.0.3"]
    assert main(words) == 0
    told = capsys.readouterr().out
    lines = [json.loads(line) for line in told.splitlines()]
    assert {line["capture"] for line in lines} == {str(log)}
    classes = {line["class"] for line in lines if line["type"] == "alert"}
    assert {"HoneypotContact", "SshBruteForce", "RootAccess"} <= classes
    rules = {line["rule"] for line in lines if line["type"] == "incident"}
    assert {"HoneypotBruteForce", "HoneypotExploit"} <= rules
    decisions = [line for line in lines if line["type"] == "decision"]
    assert {d["source"] for d in decisions} == {"192.0.2.66"}
    assert main(words) == 0
    assert capsys.readouterr().out == told  # the same file, the same records


def test_the_summary_counts_lines_and_refusals(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "--input", f"cowrie:{log}"]) == 0
    assert "13 lines (1 refused)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--input", "evil:x"], "no input is called 'evil'"),
        (["--input", "cowrie"], "is not KIND:FILE"),
        ([], "name a capture, or a log"),
        (["--input", "cowrie:/nonexistent/x"], "no such file"),
    ],
)
def test_wrong_words_are_explained(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["replay", *words])
    except SystemExit as e:
        code = int(e.code or 0)
    assert code != 0
    assert said in capsys.readouterr().err


def test_a_log_of_another_kind_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").write_text("not json\nnor this\n")
    assert main(["replay", "--json", "--input", f"cowrie:{tmp_path / 'x'}"]) == 1
    seen = capsys.readouterr()
    assert seen.out == "" and "2 of 2 lines refused" in seen.err


def test_a_damaged_file_keeps_what_could_be_read(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.json.gz"
    cut.write_bytes(log.read_bytes()[:-12])
    assert main(["replay", "--input", f"cowrie:{cut}"]) == 1
    seen = capsys.readouterr()
    assert "damaged" in seen.err
    assert "RootAccess" in seen.out


@pytest.mark.parametrize(
    ("kind", "lines", "said"),
    [
        ("syslog", ["hello"] * 30, "none of 30 lines says anything to input syslog"),
        ("syslog", ["{}", "x"], "none of 2 lines says anything to input syslog"),
        ("zeek", ["#fields\tts\tnote", "x\ty\tz"], "none of 1 lines can be used: 1 in an unknown"),
        ("eve", ['{"a": 1}'] * 3, "none of 3 lines says anything to input eve"),
        (
            "cowrie",
            [
                '{"eventid": "cowrie.session.connect", "session": "1", "src_ip": "172.18.0.1", '
                '"dst_ip": "172.18.0.2", "timestamp": "2025-11-16T17:44:00Z"}'
            ],
            "the decoy's own gateway: it is behind address translation",
        ),
    ],
)
def test_a_log_of_which_nothing_was_read_says_so(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    lines: list[str],
    said: str,
) -> None:
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    assert main(["replay", "--json", "--input", f"{kind}:{tmp_path / 'log'}"]) == 1
    seen = capsys.readouterr()
    assert seen.out == "" and said in seen.err


@pytest.mark.parametrize("text", ["", "#fields\tts\n", '{"ts": 1, "uid": "x"}\n'])
def test_a_quiet_log_is_a_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "log").write_text(text)
    assert main(["replay", "--json", "--input", f"zeek:{tmp_path / 'log'}"]) == 0
    assert capsys.readouterr() == ("", "")


def test_refusals_are_told_by_reason_with_an_example(
    log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", "--json", "--input", f"cowrie:{log}"]) == 0
    said = capsys.readouterr().err
    assert "1 of 13 lines refused: 1 that are no JSON object (e.g. 'no json')" in said


def test_what_a_host_recorded_explains_what_a_sensor_saw_whatever_the_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wire, kernel = tmp_path / "conn.log", tmp_path / "audit.log"
    wire.write_text(
        '{"ts":1764450001.0,"uid":"Cx","id.orig_h":"198.51.100.18","id.orig_p":40000,'
        '"id.resp_h":"203.0.113.9","id.resp_p":443,"proto":"tcp","duration":0.1,"orig_bytes":300,'
        '"resp_bytes":900,"conn_state":"SF","history":"ShADadFf","orig_pkts":8,"resp_pkts":7}\n'
    )
    event = "audit(1764450001.000:77)"
    kernel.write_text(
        f"type=SYSCALL msg={event}: arch=c000003e syscall=42 success=no exit=-115 ppid=901 "
        'pid=902 auid=4294967295 uid=33 euid=33 ses=4294967295 comm="x" exe="/home/x" key="net"\n'
        f"type=SOCKADDR msg={event}: saddr=020001BBCB0071090000000000000000\n"
        f"type=PROCTITLE msg={event}: proctitle=2E2F78\n"
    )
    words = ["replay", "--json", "--join", "--honeypot", "198.51.100.18"]
    # With two honeypots nothing says whose the log is but --address.
    words += ["--honeypot", "198.51.100.19", "--address", "198.51.100.18"]
    words += ["--input", f"zeek:{wire}", "--input", f"audit:{kernel}"]
    assert main(words) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [explanation] = {
        line["explanation"] for line in lines if line.get("class") == "OutgoingContact"
    }
    assert "opened by process 902 '/home/x' of user 33, command './x'" in explanation


def test_a_format_of_the_operators_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table stands in the place of the kind; one that can't be used is one line."""
    table, log = tmp_path / "doors.toml", tmp_path / "doors.json"
    table.write_text(
        'title = "Doors"\nkey = "door"\n[fields]\ntime = "at"\nsource = "who"\n'
        '[[event]]\ngives = ["session", "claim"]\nclass = "Exploit"\nconfidence = 0.9\n'
    )
    log.write_text('{"door": 1, "at": 1694828001.5, "who": "192.0.2.66"}\n')
    assert main(["replay", "--json", "--input", f"{table}:{log}"]) == 0
    alerts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [a["class"] for a in alerts if a["type"] == "alert"] == ["Exploit"]
    table.write_text("title = 7")
    for kind in (str(table), "table"):
        assert main(["replay", "--input", f"{kind}:{log}"]) == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
