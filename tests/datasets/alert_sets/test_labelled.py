"""Tables from a sensor's words to classes."""

import pytest

from datasets.alert_sets.labelled import UNNAMED, Names, SetError, alert_id, shipped_names


def test_the_longest_beginning_that_fits_counts() -> None:
    names = Names("ET SCAN\tScan\t0.5\tno\nET SCAN SSH\tSshBruteForce\t0.7\tyes\n", "t")
    assert names.of("ET SCAN SSH fast").classification == "SshBruteForce"
    assert names.of("ET SCAN nmap").classification == "Scan"
    assert names.of("hello").classification == UNNAMED


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a\tScan\t0.5", "3 columns"),
        ("a\tNoSuchClass\t0.5\tno", "'NoSuchClass' is no attack class"),
        ("a\tScan\tmuch\tno", "'much' is no confidence"),
        ("a\tScan\t1.5\tno", "'1.5' is no confidence"),
        ("a\tScan\t0.5\tperhaps", "'perhaps' is neither yes nor no"),
    ],
)
def test_a_bad_row_is_refused_by_its_line(line: str, said: str) -> None:
    with pytest.raises(SetError, match=f"table:2: {said}"):
        Names(f"# comment\n{line}\n", "table")


def test_shipped_tables_are_sound_and_ids_stay() -> None:
    assert shipped_names("realsecure.tsv").of("Sadmind_Ping").classification == "RpcProbe"
    assert shipped_names("ait.tsv").of("Wazuh: Common web attack.").classification == "WebAttack"
    assert alert_id("a", "1") == alert_id("a", "1") != alert_id("b", "1")
