"""Scan of the Month 34."""

import io
import tarfile
from pathlib import Path

import pytest

from datasets.alert_sets.labelled import SetError
from datasets.alert_sets.scan34_logs import read_incidents, read_logs

TEXT = """
 A1: AWstats incident:
  @ Associated IP addresses: (213.135.2.227)
  @ Number of logged events: (http_access: 2) (SnortSysLog: 9)
-------------------------------------
THIS INCIDENT IS COMBINED WITH A51
-------------------------------------
 A8: Scanning:
  @ Associated IP addresses: (211.233.14.63) (211.233.14.64)
  @ Number of logged events: (syslog_secure: 33)
"""


def test_incidents_are_read_with_who_and_where(tmp_path: Path) -> None:
    path = tmp_path / "Incidents.txt"
    path.write_text(TEXT)
    first, second = read_incidents(path)
    assert (first.number, first.title) == ("A1", "AWstats incident")
    assert first.logs == {"http_access", "SnortSysLog"}
    assert sorted(map(str, second.addresses)) == ["211.233.14.63", "211.233.14.64"]
    path.write_text("nothing")
    with pytest.raises(SetError, match="describes no incident"):
        read_incidents(path)


def test_logs_of_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name in ("S/http/access_log.1", "S/http/error_log", "S/snort/snortsyslog"):
            info = tarfile.TarInfo(name)
            info.size = 4
            tar.addfile(info, io.BytesIO(b"a\nb\n"))
    web, snort = read_logs(path)
    assert (web.name, web.kind, web.lines) == ("access_log.1", "access", [b"a", b"b"])
    assert (snort.name, snort.lacks_us) == ("snortsyslog", 0)
    # 287 minutes behind, and five hours of its zone.
    assert web.lacks_us == -13 * 60 * 1_000_000
    path.write_text("no archive")
    with pytest.raises(SetError, match="is no archive"):
        list(read_logs(path))
