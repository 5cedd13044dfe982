"""A fault in a table is told with file and line."""

from pathlib import Path

import pytest

from agents.sensor.inputs.table_places import table_fault

TABLE = """\
title = "Doors"
form = "json"
key = "door"
by = "what"
port = 22

[fields]
time = "at"
source = "who.ip"

[ports]
2222 = 22

[[event]]
is = "opened"
gives = "connection"

[[event]]
where = { ok = true }
gives = ["claim"]
class = "Exploit"
confidence = 0.9
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("port = 22", "port = 70000", 5, "port: a port lies in"),
        ("port = 22", "prt = 22", 5, "no key is called 'prt'"),
        ('source = "who.ip"', 'sauce = "who.ip"', 9, "no key is called 'sauce'"),
        ('time = "at"', "time = 5", 8, "fields.time is the name"),
        ("2222 = 22", "2222 = -1", 12, "ports.2222: a port lies in"),
        ('gives = ["claim"]', 'gives = "claims"', 20, "event 2: gives is some of"),
        ("ok = true", "ok = 1.5", 19, "event 2: where.ok: true, false"),
        ('class = "Exploit"', 'klass = "Exploit"', 21, "event 2: no key is called 'klass'"),
        ("confidence = 0.9", "confidence = 9", 22, "event 2: confidence must be of type float"),
        ('"Doors"', '"Doors', 1, ""),
        ('key = "door"\n', "", 0, "key names a field"),
    ],
)
def test_file_and_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    path = tmp_path / "doors.toml"
    path.write_text(TABLE, encoding="utf-8")
    assert table_fault(path) == ""
    assert old in TABLE
    path.write_text(TABLE.replace(old, new, 1), encoding="utf-8")
    found = table_fault(path)
    assert found.startswith(f"{path}:{line}: " if line else f"{path}: "), found
    assert said in found and "\n" not in found
