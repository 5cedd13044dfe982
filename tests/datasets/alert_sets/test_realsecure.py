"""RealSecure's alerts of LLDOS."""

import os
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from datasets.alert_sets.labelled import SetError
from datasets.alert_sets.realsecure import read_realsecure, read_truth

DATA = Path(os.environ.get("ONTOIDPS_DATA", "")) / "darpa2000"
NING = Path(str(files("datasets.alert_sets").joinpath("lldos_truth.tsv")))


def line(number: int, source: str, name: str, hardware: str = "", tag: str = "") -> str:
    record = '"' + ",".join(["x"] * 14 + [hardware]) + '"' if hardware else ""
    return f"{number},{1000 + number}.0,,,{source},010.000.000.001,{name},,,99,514,{record},{tag}"


def test_addresses_classes_and_the_tag(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    rows = [line(2, "192.000.002.009", "Rsh", tag="1"), line(1, "", "Email_Ehlo", tag="0")]
    path.write_text("\n".join(rows))
    first, second = read_realsecure(path)
    assert (first.name, first.related, first.alert.source) == ("1", False, None)
    assert (second.name, second.related, second.phase) == ("2", True, "Rsh")
    assert str(second.alert.source) == "192.0.2.9"
    assert second.alert.verified_source and second.alert.target_port == 514
    assert [one.related for one in read_realsecure(path, {"1": "probe"})] == [True, False]


def test_who_sent_a_frame_is_known_by_its_hardware_address(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    host = [line(n, "010.000.000.007", "Rsh", "08:00:20:89:BA:28") for n in range(1, 9)]
    router = [line(20 + n, f"192.000.002.{n:03}", "Rsh", "00:10:5A:9C:B2:8E") for n in range(1, 9)]
    forged = [
        line(40, "078.111.082.041", "Stream_DoS", "08:00:20:89:BA:28"),
        line(41, "078.111.082.041", "Stream_DoS", "00:10:5A:9C:B2:8E"),
        line(42, "078.111.082.041", "Stream_DoS"),
    ]
    path.write_text("\n".join(host + router + forged))
    flood, behind_router, unknown = (one.alert for one in read_realsecure(path)[-3:])
    assert str(flood.source) == "10.0.0.7"
    assert flood.explanation == "Stream_DoS, sent by 10.0.0.7 in the name of 78.111.82.41"
    assert str(behind_router.source) == str(unknown.source) == "78.111.82.41"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no alert"),
        ("1,2,3", ":1: 3 columns"),
        (line(1, "1.2.3.4", "Rsh").replace("1001.0", "soon"), ":1: 'soon' is no time"),
        (line(1, "1.2.3.400", "Rsh"), ":1: "),
    ],
)
def test_what_is_no_alert_is_refused_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(SetError, match=said):
        read_realsecure(path)


def test_a_list_of_ids_leaves_out_what_it_calls_nothing(tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("7,1.0,*A*,*B*,Rsh,1,2,\n\n8,1.0,x,y,Email_Ehlo,1,2,NOTHING TO DO\n")
    assert read_truth(path, path) == {"7": "Rsh"}
    path.write_text("seven\n")
    with pytest.raises(SetError, match=r":1: 'seven' is no id"):
        read_truth(path, path)


@pytest.mark.data
@pytest.mark.parametrize(("file", "alerts", "related"), [("inside1", 922, 44), ("dmz1", 891, 57)])
def test_lldos_has_as_many_related_alerts_as_ning_counts(
    file: str, alerts: int, related: int
) -> None:
    path = DATA / f"{file}_events_parsed_v3.csv"
    if not path.is_file():
        pytest.skip("ONTOIDPS_DATA names no folder with darpa2000")
    found = read_realsecure(path, read_truth(NING, path))
    assert len(found) == alerts
    assert Counter(one.related for one in found)[True] == related
