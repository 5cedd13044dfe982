"""The AIT Alert Data Set."""

import gzip
from pathlib import Path

import pytest

from datasets.alert_sets.ait import read_ait
from datasets.alert_sets.labelled import SetError

HEAD = "time,name,ip,host,short,time_label,event_label\n"


def test_what_is_known_of_an_event_is_its_truth(tmp_path: Path) -> None:
    path = tmp_path / "x_alerts.csv.gz"
    rows = (
        "20,Wazuh: Common web attack.,10.0.0.1,web,W,dirb,dirb\n"
        "10,Wazuh: IDS event.,10.0.0.1,web,W,dirb,-\n"
        "30,Wazuh: IDS event.,10.0.0.1,web,W,false_positive,-\n"
        "40,AMiner: New ip address in DNS logs.,10.0.0.2,fw,A,false_positive,dnsteal\n"
    )
    path.write_bytes(gzip.compress((HEAD + rows).encode()))
    found = read_ait(path)
    assert [(one.name, one.related, one.phase) for one in found] == [
        ("x_alerts.csv.gz:3", None, ""),
        ("x_alerts.csv.gz:2", True, "dirb"),
        ("x_alerts.csv.gz:4", False, ""),
        ("x_alerts.csv.gz:5", True, "dnsteal"),
    ]
    web = found[1].alert
    assert (web.classification, web.source, str(web.target)) == ("WebAttack", None, "10.0.0.1")
    assert web.sensor == "web" and not web.verified_source


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEAD, "holds no alert"),
        ("time,name\n", ":1: no column 'event_label'"),
        (HEAD + "1,a,10.0.0.1,h,s,x\n", ":2: too few columns"),
        (HEAD + "1,a,10.0.0.,h,s,x,-\n", ":2: "),
        (HEAD + "never,a,10.0.0.1,h,s,x,-\n", ":2: "),
    ],
)
def test_what_is_no_alert_is_refused_by_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(SetError, match=said):
        read_ait(path)
