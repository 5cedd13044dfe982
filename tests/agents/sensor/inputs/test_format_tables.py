"""Tables of formats: what is wrong with one is said with its place when it is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from agents.sensor.inputs import format_tables
from agents.sensor.inputs.format_tables import MAX_BYTES, TableError, getter, load_table

GOOD = """
key = "kind"
by = "kind"
port = 7
[fields]
time = "at"
source = ["who", "peer.ip"]
command = "input"
[ports]
2222 = 22
[transports]
sip = "udp"
[services]
ssh = 22
[[event]]
is = ["run", 4]
where = { ok = true, word = ["a*", "b"] }
gives = ["session", "claim"]
class = "Exploit"
confidence = 0.9
words = "ran"
shows = "command"
[[event]]
gives = "nothing"
"""


def test_a_table_is_read_whole() -> None:
    table = load_table(GOOD, "mine")
    (event,) = table.named["run"]
    assert table.named[4] == (event,)
    assert (event.row, event.classification, event.shows) == ("session", "Exploit", ("command",))
    assert event.where == (
        ("ok", frozenset(), (), True),
        ("word", frozenset({"b"}), ("a",), None),
    )
    assert (table.ports, table.services, table.port) == ({2222: 22}, {"ssh": 22}, 7)
    assert table.transports["sip"] == 17
    assert table.others[0].quiet


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("port = 7", "prot = 7", "no key is called 'prot'"),
        ("port = 7", "port = 70000", "a port lies in"),
        ("port = 7", 'form = "xml"', "form is one of"),
        ('key = "kind"', "", "key names a field"),
        ("port = 7", 'columns = "a b"', "columns belong to form csv"),
        ("port = 7", 'transport = "sctp"', "transport is one of"),
        ("port = 7", 'timezone = "CET"', "timezone is UTC"),
        ("port = 7", 'marks = "yes"', "marks must be of type bool"),
        ('time = "at"', "", "fields must say"),
        ('time = "at"', "time = []", "fields.time is the name"),
        ('command = "input"', 'comand = "input"', "fields: no key is called 'comand'"),
        ("2222 = 22", "ssh = 22", "ports.ssh: a port"),
        ('is = ["run", 4]', "is = [4.5]", "event 1: is"),
        ("ok = true", "ok = 1.5", "event 1: where.ok"),
        ('gives = ["session", "claim"]', 'gives = "sesion"', "event 1: gives is some of"),
        ('gives = ["session", "claim"]', 'gives = ["session", "packet"]', "one connection"),
        ('class = "Exploit"', 'class = "Exploits"', "event 1: a claim"),
        ("confidence = 0.9", "confidence = 1.5", "event 1: the confidence"),
        ("confidence = 0.9", "confidence = 1", "event 1: confidence must be of type float"),
        ('shows = "command"', 'shows = "password"', "event 1: shows"),
        ('shows = "command"', 'showed = "command"', "event 1: no key"),
        ('gives = "nothing"', "gives = []", "event 2: gives"),
        ("[[event]]", "[[events]]", "no key is called 'events'"),
        ("port = 7", "port = ", "mine: "),
    ],
)
def test_a_slip_is_told_with_its_place(old: str, new: str, said: str) -> None:
    with pytest.raises(TableError) as e:
        load_table(GOOD.replace(old, new), "mine")
    assert str(e.value).startswith("mine: ")
    assert said in str(e.value)


def test_text_and_csv_must_hold_what_is_asked_for() -> None:
    text = (
        'form = "text"\npattern = "{}"\n[fields]\ntime = "at"\nsource = "who"\n'
        '[[event]]\ngives = "session"\n'
    )
    assert load_table(text.format(r"^(?P<at>\\S+) (?P<who>\\S+)"), "mine").columns == ("at", "who")
    for pattern, said in ((r"^(?P<at>x)", "'who'"), ("(", "pattern: ")):
        with pytest.raises(TableError, match=said):
            load_table(text.format(pattern), "mine")


def test_the_table_of_the_page_is_one() -> None:
    page = Path(__file__).parents[4] / "docs" / "inputs.md"
    text = page.read_text(encoding="utf-8")
    (example,) = re.findall(r'```toml\n(title = "Doors".*?)```', text, re.DOTALL)
    table = load_table(example, "doors")
    assert [event.words for event in table.named["opened"]] == ["opened a door with"]
    named = set(re.findall(r"`(\w+)`", text.split("\nFields:")[1].split("\n## ")[0]))
    assert set(format_tables.FIELDS) | set(format_tables.GIVES) <= named


def test_a_table_is_bounded() -> None:
    with pytest.raises(TableError, match="over"):
        load_table("#" * (MAX_BYTES + 1), "mine")


@pytest.mark.parametrize(
    ("path", "event", "found"),
    [
        ("a", {"a": 1}, 1),
        ("a.b", {"a": {"b": 2}}, 2),
        ("a.b", {"a": [{"b": 3}, {"b": 4}]}, 3),
        ("a.b", {"a": []}, None),
        ("a.b", {"a": "text"}, None),
        ("a.b.c", {"a": {"b": {"c": 5}}}, 5),
        ("a.b.c", {"a": {"b": [1]}}, None),
    ],
)
def test_a_dotted_place(path: str, event: dict[str, Any], found: object) -> None:
    assert getter(path)(event) == found
