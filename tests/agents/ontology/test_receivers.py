"""Who reasons with what: kept, and who asks is sent what it has not refused just now."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.ontology.receivers import RETRY_US, Receiver, Receivers
from ontology.records import OntologyChanged

NAME = "correlation.gw1@honeynet.test"


def change(digest: str, detail: str = "") -> OntologyChanged:
    return OntologyChanged(
        id="urn:uuid:1", version=f"1+{digest}", digest=digest, changed_us=1, detail=detail
    )


def test_what_they_told_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "receivers.json"
    receivers = Receivers(path)
    receivers.took(NAME, change("a"), 5)
    receivers.refused(NAME, change("b", "no such rule"), 6)
    expected = Receiver(digest="a", version="1+a", refused="b", reason="no such rule", at_us=6)
    assert Receivers(path).known == {NAME: expected}
    receivers.took(NAME, change("b"), 7)
    assert Receivers(path).known[NAME] == Receiver(digest="b", version="1+b", at_us=7)


def test_who_asks_is_sent_what_it_lacks_but_a_refused_version_only_later(tmp_path: Path) -> None:
    receivers = Receivers(tmp_path / "receivers.json")
    assert receivers.asks(NAME, "a", "b", now_us=0)
    assert not receivers.asks(NAME, "b", "b", now_us=0)
    receivers.refused(NAME, change("b", "no"), 10)
    assert not receivers.asks(NAME, "a", "b", now_us=9 + RETRY_US)
    assert receivers.asks(NAME, "a", "c", now_us=11), "another version"
    assert receivers.asks(NAME, "a", "b", now_us=10 + RETRY_US)
    assert receivers.asks(NAME, "a", "b", now_us=11 + RETRY_US), "until it refuses it again"


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": {"b": 1}}', '{"a": 1}'])
def test_a_damaged_file_is_started_anew(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "receivers.json"
    path.write_text(text)
    receivers = Receivers(path)
    assert receivers.known == {} and "starting anew" in caplog.text
    receivers.took(NAME, change("a"), 1)
    assert Receivers(path).known[NAME].digest == "a"


def test_a_full_disk_is_told_and_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    receivers = Receivers(tmp_path / "gone" / "receivers.json")
    receivers.took(NAME, change("a"), 1)
    assert receivers.known[NAME].digest == "a" and "receivers.json" in caplog.text
