"""Lines of EVE, plain or in Splunk's export."""

import gzip
import json
from pathlib import Path

import pytest

from datasets.alert_sets.eve_lines import eve_lines, read_stages, signature_of
from datasets.alert_sets.labelled import SetError

ALERT = json.dumps({"event_type": "alert", "alert": {"signature": "ET SCAN x"}})


def test_plain_and_exported(tmp_path: Path) -> None:
    plain, export = tmp_path / "eve.json", tmp_path / "team.json.gz"
    plain.write_text(f"{ALERT}\n{ALERT}\n")
    text = json.dumps([{"result": {"_raw": ALERT}}])
    export.write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
    assert [number for number, _ in eve_lines(plain)] == [1, 2]
    ((number, line),) = eve_lines(export)
    assert (number, signature_of(line)) == (1, "ET SCAN x")
    assert signature_of(b"{}") is None is signature_of(b"nothing")


@pytest.mark.parametrize("text", ['[{"result": {}}]', "[", "[7]"])
def test_another_export_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(SetError, match=r"a\.json: "):
        list(eve_lines(path))


def test_stages_of_signatures(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("table,signature,micro_attack_stage\na,ET x,HOST_DISC\nb,ET x,VULN_DISC\n")
    assert read_stages(path) == {"ET x": "HOST_DISC"}
    path.write_text("a,b\n")
    with pytest.raises(SetError, match="no columns signature"):
        read_stages(path)
