"""Lines to records: the same stretch gives the same ids, and no parser takes the input down."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agents.sensor.inputs import intake as intake_module
from agents.sensor.inputs.events import (
    Claim,
    LineRefused,
    Options,
    Plain,
    Sighting,
    host,
    pack_row,
)
from agents.sensor.inputs.intake import MAX_AHEAD_US, REASONS, Intake
from agents.sensor.inputs.registry import make_parser
from ontology.records import Alert, ConnectionBatch
from tests.factories import ATTACKER, T0, VICTIM

NOW_US = 1_795_000_000_000_000


def row(at_us: int, duration_us: int = 0) -> bytes:
    return pack_row(
        at_us=at_us, source=host(ATTACKER), target=host(VICTIM), protocol=6, state=0,
        duration_us=duration_us,
    )  # fmt: skip


def claim(at_us: int, confidence: float = 0.5, verified: bool = False) -> Claim:
    return Claim(
        "WebAttack", host(ATTACKER), host(VICTIM), 80, 6, at_us, confidence, verified, "because"
    )


class Scripted(Plain):
    """Lines are keys of what they give."""

    kind = "scripted"

    def __init__(self, **lines: Any) -> None:
        self._lines = lines

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        found = self._lines[line.decode()]
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return]


def taken(lines: list[bytes], mark: str = "m", **script: Any) -> tuple[list[Any], Intake]:
    intake = Intake(Scripted(**script), sensor="sensor")
    return intake.on_lines(lines, mark, T0), intake


def test_rows_become_one_batch_in_order_of_time() -> None:
    (batch,), intake = taken([b"b", b"a"], a=(row(T0),), b=(row(T0 + 5),))
    assert isinstance(batch, ConnectionBatch)
    assert batch.connections["start_us"].tolist() == [T0, T0 + 5]
    assert intake.counters["rows"] == 2


def test_the_same_stretch_gives_the_same_ids_and_another_others() -> None:
    script = {"a": (row(T0), claim(T0))}
    ids = [[record.id for record in taken([b"a"], mark, **script)[0]] for mark in ("m", "m", "n")]
    assert ids[0] == ids[1] and not set(ids[0]) & set(ids[2])


def test_equal_claims_are_one_alert_with_the_best_of_them() -> None:
    found = (claim(T0, 0.5), claim(T0 + 7, 0.9), claim(T0 + 3, 0.6))
    (alert,), _ = taken([b"a"], a=found)
    assert isinstance(alert, Alert)
    assert (alert.count, alert.confidence, alert.verified_source) == (3, 0.9, False)
    assert (alert.begin_us, alert.end_us) == (T0, T0 + 7)
    assert alert.explanation.endswith("(and 2 like it)")


def test_a_verified_claim_is_an_alert_of_its_own() -> None:
    found = (claim(T0, 0.9), claim(T0 + 7, 0.5, True), claim(T0 + 3, 0.6), claim(T0 + 4, 0.4, True))
    alerts, _ = taken([b"a"], a=found)
    said = {(a.count, a.confidence, a.verified_source) for a in alerts if isinstance(a, Alert)}
    assert said == {(2, 0.9, False), (2, 0.5, True)}
    assert len({alert.id for alert in alerts}) == 2


def test_the_future_is_refused_for_rows_and_claims() -> None:
    late = T0 + MAX_AHEAD_US
    out, intake = taken([b"a", b"b"], a=(row(late), claim(late)), b=(row(late, 1), claim(late + 1)))
    assert len(out) == 2
    assert intake.counters["refused.future"] == 2


@pytest.mark.parametrize("fault", [KeyError("x"), RecursionError(), TypeError("x")])
def test_a_parser_s_mistake_costs_one_line(fault: Exception) -> None:
    out, intake = taken(
        [b"bad", b"", b"a", b"no"], bad=fault, a=(row(T0),), no=LineRefused("shape")
    )
    assert len(out) == 1
    assert intake.counters["refused.fault"] == intake.counters["refused.shape"] == 1
    assert intake.counters["lines"] == 4


def test_a_log_of_another_kind_is_told_with_an_example() -> None:
    intake = Intake(make_parser("syslog", Options()), sensor="s")
    intake.on_lines([b"hello \x1b[2J", b"world"], "mark", NOW_US)
    assert intake.trouble() == (
        "none of 2 lines says anything to input syslog (e.g. 'hello \\\\x1b[2J')"
    )
    zeek = Intake(make_parser("zeek", Options()), sensor="s")
    zeek.on_lines([b"#separator \\x09", b"#fields\tts"], "mark", NOW_US)
    assert zeek.trouble() == ""  # empty, not wrong
    zeek.on_lines([b"a\tb", b"{"], "mark", NOW_US)
    said = zeek.trouble()
    assert said.startswith("none of 2 lines can be used: 1 ") and "(e.g. 'a\\\\tb')" in said


def test_a_log_with_a_quiet_line_is_not_wrong() -> None:
    intake = Intake(make_parser("eve", Options()), sensor="s")
    intake.on_lines([b'{"event_type":"stats"}', b"[]"], "mark", NOW_US)
    assert (intake.trouble(), intake.counters["silent"]) == ("", 1)
    assert intake.refusals() == "1 that are no JSON object (e.g. '[]')"


def test_every_reason_of_ours_has_its_words() -> None:
    """A reason without words is shown as it is: allowed for plug-ins, not for us."""
    folder = Path(intake_module.__file__).parent
    used = {
        reason
        for path in folder.glob("*.py")
        for reason in re.findall(r'LineRefused\("(\w+)"\)', path.read_text())
    }
    assert used - set(REASONS) == set()


def test_a_relay_of_our_own_is_never_accused(lines: Any) -> None:
    """Its connections count for nobody, and what the log claims of it names no source."""
    parser = make_parser("eve", Options())
    relays = [ip_address("192.0.2.66"), ip_address("2001:db8::7")]
    intake = Intake(parser, sensor="sensor", relays=relays)
    records = intake.on_lines([line.encode() for line in lines["eve"]], "mark", NOW_US)
    alerts = [record for record in records if isinstance(record, Alert)]
    assert alerts and len(alerts) == len(records) and intake.counters["relayed"] == 1
    assert {(alert.source, alert.verified_source) for alert in alerts} == {(None, False)}
    assert all("by 192.0.2.66, a relay of our own" in alert.explanation for alert in alerts)


@pytest.mark.parametrize(
    ("kind", "accounts", "told"),
    [
        ("HttpBruteForce", 9, "CredentialStuffing"),
        ("MailBruteForce", 10, "CredentialStuffing"),
        # Many tries of few accounts are guesses; who guesses at shells tries many names, too.
        ("HttpBruteForce", 8, "HttpBruteForce"),
        ("SshBruteForce", 10, "SshBruteForce"),
    ],
)
def test_nearly_as_many_accounts_as_tries_are_stolen_pairs(
    kind: str, accounts: int, told: str
) -> None:
    tries = [
        Claim(
            kind, host(ATTACKER), host(VICTIM), 443, 6, T0 - i, 0.8, True, "refused",
            users=(f"user{i % accounts}",),
        )
        for i in range(10)
    ]  # fmt: skip
    ((alert,), _) = taken([b"a"], a=tries)
    assert alert.classification == told
    assert ("pairs from elsewhere" in alert.explanation) == (told == "CredentialStuffing")
