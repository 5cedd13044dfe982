from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import pytest

from agents.evaluation.truths import read_truth, wanted_of

HEAD = "file\tattack\tattacker\n"


@pytest.mark.parametrize(
    ("attack", "groups"),
    [
        ("none (benign)", 0),
        ("normal SSH (mixed good/failed logins)", 0),
        ("nmap FIN scan", 1),
        ("nmap ping sweep -> TCP/UDP scans of 5 hosts", 3),
        ("SynScan+FtpBruteForce", 2),
        ("FragmentAttack", 1),
        ("something else", None),
        ("SynScan+Teapot", None),
    ],
)
def test_words_and_classes_of_a_truth(attack: str, groups: int | None) -> None:
    wanted = wanted_of(attack)
    assert (None if wanted is None else len(wanted)) == groups


def test_rows_that_can_not_be_judged_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").touch()
    rows = "a.pcap\tSynScan\t192.0.2.1\nb.pcap\tSynScan\t\na.pcap\tteapot\t\n"
    (tmp_path / "GROUND_TRUTH.tsv").write_text(HEAD + rows)
    truths, left_out = read_truth(tmp_path)
    assert [t.attacker for t in truths] == [ip_address("192.0.2.1")]
    assert left_out == ["b.pcap: no such capture", "a.pcap: no class is known for 'teapot'"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file\tattack\n", ":1: no column 'attacker'"),
        (HEAD + "a.pcap\tSynScan\n", ":2: too few columns"),
        (HEAD + "../a.pcap\tSynScan\t\n", ":2: '../a.pcap' leaves the folder"),
        (HEAD, "no capture to judge"),
        (HEAD + '"', "not a table"),
    ],
)
def test_bad_tables_are_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "GROUND_TRUTH.tsv").write_text(text)
    with pytest.raises(ValueError, match=said) as caught:
        read_truth(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_the_recipe_wrote_is_a_truth_too(tmp_path: Path) -> None:
    """And says which of its hosts are honeypots."""
    rows = (
        "x.pcap\tTunnelling\t192.0.2.66\t192.0.2.80\n"
        "honeypot-x.pcap\tTunnelling\t192.0.2.66\t192.0.2.80\n"
        "beacon.pcap\tOutgoingBeacon\t192.0.2.80\t192.0.2.66\n"
        "benign.pcap\tNormal\t\t192.0.2.80\n"
    )
    (tmp_path / "manifest.tsv").write_text("file\tlabel\tattacker\tvictim\n" + rows)
    for row in rows.splitlines():
        (tmp_path / row.partition("\t")[0]).touch()
    truths, left_out = read_truth(tmp_path)
    assert left_out == []
    assert [len(t.wanted) for t in truths] == [1, 1, 1, 0]
    pot = (ip_address("192.0.2.80"),)
    assert [t.honeypots for t in truths] == [(), pot, pot, ()]
    own = HEAD.replace("\n", "\thoneypots\n") + "x.pcap\tSynScan\t192.0.2.1\t192.0.2.80, ::1\n"
    (tmp_path / "GROUND_TRUTH.tsv").write_text(own)
    assert [len(t.honeypots) for t in read_truth(tmp_path)[0]] == [2]
