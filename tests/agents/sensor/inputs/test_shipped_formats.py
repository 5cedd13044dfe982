"""Every format that comes as a table: a log of each, above each line what it must give."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.sensor.inputs import shipped_formats
from agents.sensor.inputs.events import HEADING, UNRELATED, Claim, LineRefused, Options, Traces
from agents.sensor.inputs.format_tables import TableError, shipped_table
from agents.sensor.inputs.registry import known_inputs, make_parser
from agents.sensor.inputs.table_parser import TableParser
from ontology.records import CONNECTION, CONNECTION_STATES, INDICATORS

SAMPLES = Path(__file__).with_name("samples")
KINDS = sorted(path.stem for path in SAMPLES.glob("*.log"))
HONEYPOT = ip_address("198.51.100.18")
NAMES = {6: "tcp", 17: "udp"}


def options() -> Options:
    return Options(address=HONEYPOT, honeypots=frozenset({HONEYPOT}))


def told(row: bytes | Claim | Traces) -> str:
    """A sighting in one line."""
    if isinstance(row, Traces):
        proof = " verified" if row.verified else ""
        left = ", ".join(f"{kind} {value!r}"[:100] for kind, value in row.left)
        return f"{row.source.value} left{proof} {left}"
    if isinstance(row, Claim):
        place = f"{row.source.value} > {row.target and row.target.value}:{row.target_port}"
        proof = " verified" if row.verified else ""
        return f"{row.classification} {row.confidence} {place} {NAMES[row.protocol]}{proof}"
    (one,) = np.frombuffer(row, CONNECTION)
    ends = []
    for side in ("src", "dst"):
        value = IPv6Address(one[side].tobytes())
        ends.append(f"{value.ipv4_mapped or value}:{one[f'{side}_port']}")
    words = [CONNECTION_STATES[one["state"]], " > ".join(ends), NAMES[int(one["protocol"])]]
    if one["login_attempts"]:
        words.append(f"logins {one['failed_logins']}/{one['login_attempts']}")
    words += [name for bit, name in enumerate(INDICATORS) if one["indicators"] >> bit & 1]
    words += ["verified"] * int(one["conversation"])
    return " ".join(words)


def judged(parser: TableParser, line: str) -> list[str]:
    """What a line gives, in words."""
    try:
        seen = parser.on_line(line.encode())
    except LineRefused as e:
        return [f"refused {e.reason}"]
    if seen is UNRELATED or seen is HEADING:
        return ["unrelated" if seen is UNRELATED else "heading"]
    return [told(one) for one in seen] or ["nothing"]


def sample(kind: str) -> list[tuple[list[str], str]]:
    """(expected, line) of a sample."""
    out: list[tuple[list[str], str]] = []
    expected: list[str] = []
    for line in (SAMPLES / f"{kind}.log").read_text(encoding="utf-8").splitlines():
        if line.startswith("#= "):
            expected.append(line[3:])
        else:
            out.append((expected, line))
            expected = []
    return out


@pytest.mark.parametrize("kind", KINDS)
def test_each_line_gives_what_stands_above_it(kind: str) -> None:
    parser = make_parser(kind, options())
    assert isinstance(parser, TableParser)
    for expected, line in sample(kind):
        assert judged(parser, line) == expected, line


@pytest.mark.parametrize("kind", KINDS)
def test_every_event_of_the_table_has_a_line(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule without a sample is a guess."""
    parser = make_parser(kind, options())
    assert isinstance(parser, TableParser)
    picked: list[Any] = []
    pick = parser._pick

    def noting(event: Any) -> Any:
        found = pick(event)
        picked.append(found and found.event)
        return found

    monkeypatch.setattr(parser, "_pick", noting)
    for _, line in sample(kind):
        judged(parser, line)
    table = shipped_table(kind)
    events = {id(e): e for found in (*table.named.values(), table.others) for e in found}
    assert [e for name, e in events.items() if name not in set(map(id, picked))] == []


def test_every_table_has_an_entry_point_and_a_sample() -> None:
    tables = Path(shipped_formats.__file__).with_name("formats").glob("*.toml")
    assert sorted(path.stem for path in tables) == KINDS
    assert set(KINDS) <= set(known_inputs())
    page = (Path(__file__).parents[4] / "docs" / "inputs.md").read_text(encoding="utf-8")
    assert [kind for kind in KINDS if f"\n| `{kind}` |" not in page] == []


def test_a_table_of_the_operators_own(tmp_path: Path) -> None:
    path = tmp_path / "doors.toml"
    path.write_text(
        'title = "Doors"\nkey = "door"\nport = 9\n[fields]\ntime = "at"\nsource = "who"\n'
        '[[event]]\nwhere = { open = true }\ngives = "connection"\n'
    )
    parser = make_parser("table", Options(table=path))
    line = '{"door": 1, "open": true, "at": 1794828001.5, "who": "192.0.2.66"}'
    assert judged(parser, line) == ["S1 192.0.2.66:0 > 0.0.0.0:9 tcp verified"]  # type: ignore[arg-type]
    assert judged(parser, line.replace("true", "false")) == ["nothing"]  # type: ignore[arg-type]


@pytest.mark.parametrize("table", [None, "missing.toml", "bad.toml"])
def test_a_table_that_can_not_be_read_is_one_line(tmp_path: Path, table: str | None) -> None:
    (tmp_path / "bad.toml").write_bytes(b"\xff")
    with pytest.raises(TableError) as e:
        make_parser("table", Options(table=table and tmp_path / table))  # type: ignore[arg-type]
    assert "\n" not in str(e.value)
