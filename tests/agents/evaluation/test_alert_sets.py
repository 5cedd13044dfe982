"""Sets of alerts, as the inputs of the system read them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from agents.evaluation.alert_sets import read_set

EVE_ALERT = {
    "signature_id": 1,
    "signature": "ET SCAN nikto",
    "category": "Web Application Attack",
    "severity": 1,
}
EVE = {
    "timestamp": "2017-11-04T13:20:24.289881+0000",
    "event_type": "alert",
    "src_ip": "10.0.254.32",
    "src_port": 42032,
    "dest_ip": "10.0.0.52",
    "dest_port": 80,
    "proto": "TCP",
    "stream": 1,
    "alert": EVE_ALERT,
}


def test_eve_with_stages_of_its_signatures(tmp_path: Path) -> None:
    path, truth = tmp_path / "eve.json", tmp_path / "stages.csv"
    path.write_text(json.dumps(EVE) + "\n")
    truth.write_text("signature,micro_attack_stage\nET SCAN nikto,VULN_DISC\n")
    (one,) = read_set("eve", [path], str(truth), frozenset()).alerts
    assert (one.name, one.related, one.phase) == ("eve.json:1", True, "VULN_DISC")
    assert one.alert.verified_source
    (one,) = read_set("eve", [path], None, frozenset()).alerts
    assert one.related is None
    quiet = EVE | {"alert": EVE_ALERT | {"signature": "hello", "category": "Misc activity"}}
    path.write_text(json.dumps(quiet) + "\n")
    found = read_set("eve", [path], None, frozenset())
    assert (found.alerts, found.silent) == ((), {"eve.json:1": None})


def test_sotm34_takes_its_clocks_together(tmp_path: Path) -> None:
    snort = (
        "Mar 13 09:00:00 bastion snort: [1:1330:6] WEB-ATTACKS wget command attempt "
        "[Classification: Web Application Attack] [Priority: 1]: {TCP} "
        "213.135.2.227:50860 -> 11.11.79.89:80\n"
    )
    web = (
        '213.135.2.227 - - [13/Mar/2005:04:13:00 -0500] "GET /awstats.pl?c=|wget%20a| HTTP/1.1" '
        '200 1063 "-" "-"\n'
    )
    path, truth = tmp_path / "a.tar.gz", tmp_path / "Incidents.txt"
    with tarfile.open(path, "w:gz") as tar:
        for name, text in (("S/snort/snortsyslog", snort), ("S/http/access_log", web)):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    truth.write_text(
        "A1: AWstats:\n @ Associated IP addresses: (213.135.2.227)\n"
        " @ Number of logged events: (http_access: 1) (SnortSysLog: 1)\n"
    )
    found = read_set("sotm34", [path], str(truth), frozenset())
    assert {one.name for one in found.alerts} == {"snortsyslog:1", "access_log:1"}
    by_name = {one.name: one.alert for one in found.alerts}
    first, second = by_name["snortsyslog:1"], by_name["access_log:1"]
    assert first.begin_us == second.begin_us and first.target == second.target
    assert all(one.related for one in found.alerts)
    assert len(found.described) == 1 and len(found.honeypots) == 254


def test_what_is_not_of_the_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    path.write_text("nothing of Suricata\n")
    with pytest.raises(ValueError, match=r"eve\.json: "):
        read_set("eve", [path], None, frozenset())
    with pytest.raises(ValueError, match="--truth: alerts of AIT"):
        read_set("ait", [path], "truth", frozenset())
