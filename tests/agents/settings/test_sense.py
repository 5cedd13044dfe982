"""What is allowed and hardly meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.settings.honeynet import read_settings
from agents.settings.sense import doubts

EXAMPLE = Path(__file__).parents[3] / "deploy" / "honeynet.example.toml"
THREE = '["sensor", "analyzer", "reaction"]'


def told(tmp_path: Path, *changes: tuple[str, str]) -> list[str]:
    text = EXAMPLE.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "honeynet.toml"
    path.write_text(text, encoding="utf-8")
    settings, source = read_settings(path)
    return [source.told(problem).removeprefix(f"{path}:") for problem in doubts(settings)]


def test_the_example_leaves_no_doubt(tmp_path: Path) -> None:
    assert told(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('host = "203.0.113.1"', 'host = "127.0.0.1"', "127.0.0.1 is each host itself"),
        ('host = "203.0.113.1"', 'host = "localhost"', "localhost is each host itself"),
        ('host = "203.0.113.1"', 'host = "::1"', "::1 is each host itself; control, gw1, gw2"),
        (THREE, '["sensor", "analyzer"]', "nobody will be blocked anywhere"),
        (', "console"]', "]", "no node runs a console agent"),
        ('# mode = "enforce" ', 'mode = "shadow" ', "gateway 'gw1' drops nothing"),
        ("# dry_run = false", "dry_run = true", "policy.dry_run: nobody will be blocked"),
        ('"192.0.2.20"]', '"8.0.0.0/5"]', "protects most strangers"),
        ('node = "gw2"', 'node = "control"', "node 'control' has no sensor"),
        (
            '# inputs = [{ kind = "eve",',
            'inputs = [{ address = "198.51.100.99", kind = "cowrie",',
            "node 'gw1': inputs.address: no [[honeypot]] has the address 198.51.100.99",
        ),
        (
            '# inputs = [{ kind = "eve",',
            'inputs = [{ relays = ["198.51.100.18"], kind = "eve",',
            "inputs.relays: 198.51.100.18 is a honeypot",
        ),
        (
            '# inputs = [{ kind = "eve",',
            'inputs = [{ kind = "audit",',
            "audit without an address: it is taken for the log of node 'gw1' itself",
        ),
        (
            '# inputs = [{ kind = "eve",',
            'inputs = [{ address = "192.0.2.101", kind = "wtmp",',
            "",
        ),
        (
            '"192.0.2.101", "198.51.100.17"',
            '"192.0.2.101", "198.51.100.16"',
            "",
        ),
    ],
)
def test_a_doubt_is_told_once(tmp_path: Path, old: str, new: str, said: str) -> None:
    found = told(tmp_path, (old, new))
    assert [said in line for line in found] == ([True] if said else [])


def test_without_sensor_or_honeypot(tmp_path: Path) -> None:
    changes = [(THREE, '["reaction"]'), ('interfaces = ["eth0"]', "")]
    found = told(tmp_path, *changes, ('sides = { eth0 = "outside" }', ""))
    assert "no node runs a sensor agent" in found[0]
    assert sum("has no sensor that could watch it" in line for line in found) == 2


def test_an_approval_takes_somebody_to_ask(tmp_path: Path) -> None:
    """A page or a command, and who rules on its word."""
    approve = ("# modes = {HoneypotBruteForceIncident", "modes = {HoneypotBruteForceIncident")
    assert told(tmp_path, approve) == []
    (missing, nobody) = told(tmp_path, approve, (', "console"]', "]"))
    assert "no console agent" in missing or "no node runs a console agent" in missing
    assert "policy.modes.HoneypotBruteForceIncident: nobody can approve" in nobody
