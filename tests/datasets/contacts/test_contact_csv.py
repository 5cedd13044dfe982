from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from agents.sensor.inputs.log_files import read_lines
from datasets.contacts.contact_csv import read_csv
from datasets.contacts.contact_log import ContactLog, ContactReader

MARX = Path(os.environ.get("ONTOIDPS_DATA", "")) / "marx" / "marx-2013-03-to-06.csv.gz"
HEADER = "datetime,host,src,proto,type,spt,dpt"


def read(*lines: str, **named: str) -> ContactLog:
    reader = ContactReader()
    read_csv([[line.encode() for line in lines]], reader, name="x.csv", named=named)
    return reader.finish()


def test_the_form_of_the_marx_set() -> None:
    log = read(
        HEADER,
        "2013-03-03 21:53:59,groucho-oregon,1032051418,TCP,,6000,1433",
        "2013-03-03 21:57:01,groucho-tokyo,1347834426,ICMP,8,,",
    )
    assert log.sources == ("61.131.218.218", "80.86.82.58")
    assert log.gateways == ("groucho-oregon", "groucho-tokyo")
    assert log.port.tolist() == [1433, -1]
    assert log.protocol.tolist() == [6, 1]


def test_other_names_of_columns_are_said() -> None:
    log = read(
        "when;who;door;port", '1362347639;"192.0.2.1";"a;b";80', time="when", source="who",
        sensor="door",
    )  # fmt: skip
    assert log.gateways == ("a;b",)
    assert log.port.tolist() == [80]
    assert log.protocol.tolist() == [-1]


def test_bad_lines_are_counted_by_reason_and_the_others_stay() -> None:
    good = "2013-03-03 21:53:59,oregon,1032051418,TCP,,6000,1433"
    log = read(
        HEADER,
        good,
        "2013-03-03 21:53:59,oregon",
        good.replace("2013", "never"),
        good.replace("1032051418", "someone"),
        good.replace("oregon", ""),
        good.replace("1433", "70000"),
        good.replace("TCP", "CARRIER PIGEON"),
        '"' + good,
        good + "\0",
        "",
        good,
    )
    assert len(log) == 2
    assert log.refused == Counter(
        columns=1, time=1, source=1, sensor=1, port=1, protocol=1, shape=2
    )
    assert log.first_refused == "x.csv:3: columns"


@pytest.mark.parametrize(
    ("header", "named", "said"),
    [
        ("", {}, "x.csv:1: no header"),
        ("a,b,c", {}, "x.csv:1: no column for time among 'a, b, c'; name it with --time"),
        (HEADER, {"port": "gate"}, "x.csv:1: no column 'gate' for port"),
    ],
)
def test_a_header_that_will_not_do(header: str, named: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(header, **named)


@pytest.mark.data
@pytest.mark.skipif(not MARX.is_file(), reason="ONTOIDPS_DATA names no folder with marx")
def test_the_marx_set_itself() -> None:
    reader = ContactReader()
    # Its first 40,960 lines: all of them are no test of seconds.
    blocks = (block for _, block in zip(range(10), read_lines(MARX), strict=False))
    read_csv(blocks, reader, name=MARX.name, named={})
    log = reader.finish()
    assert len(log) == 40_959
    assert len(log.gateways) == 9
    assert not log.refused
