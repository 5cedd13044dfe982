from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.messages.acl import AclMessage
from agents.settings.honeynet import Settings
from agents.trust.identity import Refused, load_identity
from agents.trust.signing import FRESHNESS_US, Verifier, sign

NOW = 1_700_000_000_000_000
SENSOR, ANALYZER = "sensor.gw1@honeynet.test", "analyzer.gw1@honeynet.test"


def message(**changes: object) -> AclMessage:
    fields: dict[str, object] = {
        "performative": "inform",
        "sender": SENSOR,
        "receivers": (ANALYZER,),
        "protocol": "fipa-subscribe",
        "conversation_id": "c",
        "reply_with": "m",
        "content": "text",
    }
    return AclMessage(**(fields | changes))  # type: ignore[arg-type]


def reason(verifier: Verifier, signed: AclMessage, now_us: int = NOW) -> str:
    with pytest.raises(Refused) as caught:
        verifier.check(signed, now_us)
    return caught.value.reason


@pytest.fixture
def verifier(honeynet: Settings) -> Verifier:
    keyring = load_identity(honeynet, "analyzer", "gw1").keyring
    return Verifier(ANALYZER, keyring, NOW - 3 * FRESHNESS_US)


def test_signed_message_is_accepted(honeynet: Settings, verifier: Verifier) -> None:
    signed = sign(message(), load_identity(honeynet, "sensor", "gw1").key, NOW)
    peer = verifier.check(signed, NOW)
    assert (peer.jid, peer.role, peer.node) == (SENSOR, "sensor", "gw1")


@pytest.mark.parametrize(
    "change",
    [
        {"content": "other"},
        {"performative": "request"},
        {"conversation_id": "other"},
        {"reply_with": "other"},
        {"sent_us": NOW - 1},
        {"nonce": "other"},
        {"ontology": "http://example.test/other"},
        {"receivers": (ANALYZER, "analyzer.gw2@honeynet.test")},
        {"reply_by_us": NOW + 10_000_000},
        {"signature": "AAAA"},
        {"signature": "not base64"},
    ],
)
def test_any_change_breaks_the_signature(
    honeynet: Settings, verifier: Verifier, change: dict[str, object]
) -> None:
    signed = sign(message(), load_identity(honeynet, "sensor", "gw1").key, NOW)
    assert reason(verifier, replace(signed, **change)) == "bad-signature"  # type: ignore[arg-type]


def test_key_of_another_agent_is_refused(honeynet: Settings, verifier: Verifier) -> None:
    other = load_identity(honeynet, "reaction", "gw1").key
    assert reason(verifier, sign(message(), other, NOW)) == "bad-signature"


def test_stranger_and_wrong_address_are_refused(honeynet: Settings, verifier: Verifier) -> None:
    key = load_identity(honeynet, "sensor", "gw1").key
    stranger = sign(message(sender="nobody@honeynet.test"), key, NOW)
    assert reason(verifier, stranger) == "unknown-sender"
    misdirected = sign(message(receivers=("analyzer.gw2@honeynet.test",)), key, NOW)
    assert reason(verifier, misdirected) == "wrong-receiver"


def test_freshness_window(honeynet: Settings, verifier: Verifier) -> None:
    key = load_identity(honeynet, "sensor", "gw1").key
    for edge in (-FRESHNESS_US, FRESHNESS_US):
        verifier.check(sign(message(), key, NOW + edge), NOW)
    for beyond in (-FRESHNESS_US - 1, FRESHNESS_US + 1):
        assert reason(verifier, sign(message(), key, NOW + beyond)) == "stale"


def test_replay_is_refused_and_a_new_copy_is_not(honeynet: Settings, verifier: Verifier) -> None:
    key = load_identity(honeynet, "sensor", "gw1").key
    signed = sign(message(), key, NOW)
    verifier.check(signed, NOW)
    assert reason(verifier, signed, NOW + 1) == "replay"
    verifier.check(sign(signed, key, NOW + 2), NOW + 2)


def test_a_restart_opens_no_window_for_replay(honeynet: Settings) -> None:
    identity = load_identity(honeynet, "sensor", "gw1")
    signed = sign(message(), identity.key, NOW)
    restarted = Verifier(ANALYZER, identity.keyring, NOW + 1)
    assert reason(restarted, signed, NOW + 2) == "stale"


def test_expired_is_refused(honeynet: Settings, verifier: Verifier) -> None:
    key = load_identity(honeynet, "sensor", "gw1").key
    late = sign(message(reply_by_us=NOW - 1000), key, NOW)
    assert reason(verifier, late) == "expired"


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
# One microsecond at least: of one moment no more messages are taken than there is room for.
@given(delays=st.lists(st.integers(1, 50_000_000), min_size=1, max_size=12))
def test_no_replay_at_any_later_time(honeynet: Settings, delays: list[int]) -> None:
    """However traffic is spread, and with room for three nonces only, nothing is accepted twice."""
    identity = load_identity(honeynet, "sensor", "gw1")
    import agents.trust.signing as module

    limit, module.MAX_NONCES = module.MAX_NONCES, 3
    try:
        verifier, now, sent = Verifier(ANALYZER, identity.keyring, 0), NOW, []
        for delay in delays:
            now += delay
            signed = sign(message(), identity.key, now)
            verifier.check(signed, now)
            sent.append(signed)
            for old in sent:
                assert reason(verifier, old, now) in ("replay", "stale")
    finally:
        module.MAX_NONCES = limit


def test_one_senders_flood_of_nonces_does_not_silence_another(
    honeynet: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stolen key signs many messages ahead of time; the memory of the others is not touched."""
    monkeypatch.setattr("agents.trust.signing.MAX_NONCES", 5)
    ring = load_identity(honeynet, "analyzer", "gw1").keyring
    verifier = Verifier(ANALYZER, ring, NOW - 3 * FRESHNESS_US)
    thief = load_identity(honeynet, "reaction", "gw1")
    for number in range(20):
        stolen = replace(message(), sender=thief.peer.jid, reply_with=f"m{number}")
        verifier.check(sign(stolen, thief.key, NOW + FRESHNESS_US - 20 + number), NOW)
    honest = load_identity(honeynet, "sensor", "gw1")
    assert verifier.check(sign(message(), honest.key, NOW), NOW).jid == SENSOR
