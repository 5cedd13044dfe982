"""Both forms, whole and in part."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.idmef.foreign_reports import Origin
from agents.idmef.taking import Taken, take
from agents.idmef.writing import document_of
from tests.agents.idmef.samples import AT_US, PRELUDE, alert, document

SITE = Origin(name="site-b", trust=0.5)
NOW_US = AT_US + 86_400_000_000


def took(data: bytes) -> Taken:
    return take(data, SITE, sensor="console.gw1@x", now_us=NOW_US)


def test_one_bad_report_leaves_out_itself_alone() -> None:
    some = [document(), document(ID="x"), document(Cause="Error"), document(ID=None)]
    found = took(json.dumps(some).encode())
    assert [a.classification for a in found.alerts] == ["PortScan"]
    assert found.ignored == 1
    assert [line.partition(":")[0] for line in found.refused] == ["document 2", "document 4"]


def test_preludes_message() -> None:
    found = took(b"\xef\xbb\xbf" + PRELUDE.encode())
    assert [a.classification for a in found.alerts] == ["PortScan", "SshBruteForce"]
    assert (found.ignored, found.refused) == (1, [])  # a heartbeat
    assert found.alerts[0].cves == ("CVE-2018-15473",)
    assert found.alerts[0].confidence == 0.45


def test_a_document_of_another_honeynet_of_ours_claims_nothing_by_its_attachment() -> None:
    made = document_of(alert(verified_source=True, confidence=1.0))
    (found,) = took(json.dumps(made).encode()).alerts
    assert found.classification == "SynScan"
    assert not found.verified_source
    assert found.id != alert().id
    assert found.confidence == 0.5


def test_what_can_not_be_read_is_one_line() -> None:
    assert len(took(b"{").refused) == len(took(b"<x").refused) == len(took(b"").refused) == 1


pieces = st.sampled_from(
    [b"<IDMEF-Message>", b"</IDMEF-Message>", b"<Alert>", b"</Alert>", b"<Address>", b"&a;", b"]]>"]
)


@given(st.one_of(st.binary(max_size=300), st.lists(pieces, max_size=20).map(b"".join)))
@settings(max_examples=50, deadline=None)
def test_nothing_breaks_it(data: bytes) -> None:
    found = took(data)
    assert all(line.isprintable() for line in found.refused)


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(document())), any_json)
@settings(max_examples=50, deadline=None)
def test_no_value_of_a_field_breaks_it(name: str, value: object) -> None:
    found = took(json.dumps({**document(), name: value}).encode())
    assert len(found.alerts) + found.ignored + len(found.refused) == 1


def test_what_is_said_twice_counts_once() -> None:
    some = [document(), document(Confidence=0.2)]
    (found,) = took(json.dumps(some).encode()).alerts
    assert found.confidence == 0.1
