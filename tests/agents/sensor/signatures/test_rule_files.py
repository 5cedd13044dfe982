"""Rule files as a node names them."""

from __future__ import annotations

import os
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path

import pytest

from agents.main import main
from agents.sensor.signatures.alerts import at_honeypot
from agents.sensor.signatures.rule_files import check_variable, load_rules, stamp
from agents.settings.honeynet import SettingsError, load_settings

RULES = """\
alert tcp any any -> $HOME_NET 80 (msg:"one"; content:"a"; sid:1;)
alert tcp any any -> any any (msg:"two"; asn1:bitstring_overflow; sid:2;)
alert tcp any any -> any any (msg:"three"; ttl:3; sid:3;)
alert udp any any -> any any (msg:"four"; content:"b"; sid:4;)
"""


def honeynet(folder: Path, line: str) -> Path:
    path = folder / "honeynet.toml"
    path.write_text(
        '[[node]]\nname = "gw1"\ninterfaces = ["lo"]\n'
        'agents = ["sensor", "analyzer", "correlation", "ontology", "supervisor"]\n'
        f"{line}\n"
    )
    return path


def test_check_says_how_much_is_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.rules").write_text(RULES)
    file = honeynet(tmp_path, 'signatures = ["own.rules"]')
    assert load_settings(file).node[0].signatures == (tmp_path / "own.rules",)
    assert main(["check", str(file)]) == 0
    assert "node gw1: 4 signatures loaded, 2 in use (50.0 %)\n" in capsys.readouterr().out
    (tmp_path / "own.rules").write_text(RULES + "alert tcp (sid:\x1b9;)\n")
    assert main(["check", str(file)]) == 0
    out = capsys.readouterr().out
    assert "1 unreadable, the first is" in out and "line 5" in out and "\x1b" not in out


def test_rules_of_another_host_are_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = honeynet(tmp_path, 'signatures = ["none.rules"]')
    assert main(["check", str(file)]) == 0
    out, err = capsys.readouterr()
    (line,) = (line for line in err.splitlines() if "warning: node gw1: " in line)
    assert "good" in out and "none.rules: not on this host" in line
    for words, word in ((["--node", "gw1"], "no such file"), (["--node", "gw9"], "no node")):
        assert main(["check", str(file), *words]) == 1
        out, err = capsys.readouterr()
        assert out == "" and word in err and err.count("\n") == 1


@pytest.mark.parametrize("source", ["nflog = [5]", 'captures = ["tap.pcap"]'])
def test_signatures_need_packets_from_anywhere(tmp_path: Path, source: str) -> None:
    (tmp_path / "own.rules").write_text(RULES)
    file = honeynet(tmp_path, 'signatures = ["own.rules"]')
    file.write_text(file.read_text().replace('interfaces = ["lo"]', source))
    assert load_settings(file).node[0].signatures == (tmp_path / "own.rules",)


def test_what_can_t_be_used_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.rules").write_text(RULES)
    (tmp_path / "empty").mkdir()
    for line, word in (
        ('signatures = ["empty"]', "no rule in"),
        ('signatures = ["own.rules"]\nsignature_variables = { HOME_NET = "[1.2.3" }', "HOME_NET"),
        ('signatures = ["own.rules"]\nsignature_variables = { "A B" = "any" }', "not a name"),
    ):
        assert main(["check", str(honeynet(tmp_path, line))]) != 0
        err = capsys.readouterr().err
        assert word in err and err.count("\n") == 1
    text = honeynet(tmp_path, 'signatures = ["own.rules"]').read_text()
    bad = tmp_path / "bad.toml"
    bad.write_text(text.replace('interfaces = ["lo"]', 'inputs = [{ kind = "eve", path = "e" }]'))
    with pytest.raises(SettingsError, match="no interfaces, nflog or captures to match them on"):
        load_settings(bad)


def test_variables_are_sets_of_the_right_kind() -> None:
    check_variable("HOME_NET", "[192.0.2.0/24,!192.0.2.1]")
    check_variable("HTTP_PORTS", "[80,8080:8090]")
    for name, value in (("HOME_NET", "80"), ("HTTP_PORTS", "x"), ("", "any")):
        with pytest.raises(ValueError, match="signature variable"):
            check_variable(name, value)


def test_a_stamp_tells_every_change_and_never_fails(tmp_path: Path) -> None:
    file, folder = tmp_path / "a.rules", tmp_path / "folder"
    seen = [stamp([file, folder])]
    folder.mkdir()
    for step in (
        lambda: file.write_text("a"),
        lambda: file.write_text("ab"),
        lambda: os.utime(file, (1, 1)),
        lambda: (folder / "b.rules").write_text("x"),
        lambda: (folder / "b.rules").unlink(),
        lambda: file.unlink(),
    ):
        step()
        seen.append(stamp([file, folder]))
    assert all(one != other for one, other in pairwise(seen))


def test_worth_at_a_honeypot_only_grows() -> None:
    assert [at_honeypot(c) for c in (0.0, 0.3, 0.7, 1.0)] == [0.4, 0.533, 0.8, 0.95]


def test_the_variables_reach_the_rules(tmp_path: Path) -> None:
    (tmp_path / "own.rules").write_text(RULES)
    rules = load_rules(
        [tmp_path], variables={"HOME_NET": "[192.0.2.0/24]"}, sensor="s",
        honeypots=[ip_address("192.0.2.9")],
    )  # fmt: skip
    assert rules.fault() == ""
    assert len(rules.alerts.matcher.signatures) == 2
