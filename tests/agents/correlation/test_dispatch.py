"""Who hears of an outcome, also of one that is too large."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from agents.correlation.dispatch import SHORT_REASON, Dispatch
from agents.correlation.outcome import Outcome
from agents.messages.acl import AclMessage, MessageError
from agents.settings.honeynet import Settings
from ontology.fragments import encode
from ontology.records import Alert, Decision, Incident, Record

SOURCE = ip_address("192.0.2.7")
ALERT = Alert(
    id="urn:a",
    classification="SynScan",
    source=SOURCE,
    target=None,
    protocol=6,
    begin_us=1,
    end_us=2,
    confidence=0.9,
    verified_source=True,
    sensor="s",
    analyzer="a",
    explanation="",
)
INCIDENT = Incident(
    id="urn:i",
    classification="CustomIncident",
    source=SOURCE,
    targets=(),
    alerts=("urn:a",),
    rule="r",
    begin_us=1,
    end_us=2,
    severity=0.9,
    verified_source=True,
    explanation="",
)


def decision(number: int) -> Decision:
    return Decision(
        id=f"urn:d{number}",
        action="block",
        source=SOURCE + number,
        classification="CustomIncident",
        incident="urn:i",
        origin="c",
        decided_us=2,
        duration_s=60,
        reason="",
    )


class Outbox:
    """Takes messages whose records fit."""

    def __init__(self, *too_large: type[Record]) -> None:
        self._too_large = too_large
        self.sent: list[tuple[str, str, tuple[Record, ...]]] = []

    async def send(
        self,
        receivers: Sequence[str],
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        within_s: float | None = None,
    ) -> tuple[AclMessage, ...]:
        if any(isinstance(record, self._too_large) for record in records):
            raise MessageError("too large")
        for receiver in receivers:
            self.sent.append((receiver.partition(".")[0], performative, tuple(records)))
        return ()


def settings(tmp_path: Path, *more: str) -> Settings:
    agents = ["ontology", "correlation", *more]
    return Settings.model_validate(
        {"state_dir": tmp_path, "node": [{"name": "gw1", "agents": agents}]}
    )


async def test_decisions_go_out_as_one_request_with_their_evidence(tmp_path: Path) -> None:
    outbox, counters = Outbox(), Counter[str]()
    both = (decision(0), decision(1))
    dispatch = Dispatch(settings(tmp_path, "supervisor"), "gw1", outbox.send, counters)
    await dispatch.send(Outcome(INCIDENT, both, (ALERT,)))
    everything = (*both, INCIDENT, ALERT)
    assert outbox.sent == [
        ("supervisor", "request", everything),
        ("ontology", "inform", everything),
    ]
    assert not counters


async def test_an_incident_alone_is_told(tmp_path: Path) -> None:
    outbox = Outbox()
    dispatch = Dispatch(settings(tmp_path, "supervisor"), "gw1", outbox.send, Counter())
    await dispatch.send(Outcome(INCIDENT, (), (ALERT,)))
    assert [how for _, how, _ in outbox.sent] == ["inform", "inform"]


async def test_what_is_too_large_goes_without_its_alerts(tmp_path: Path) -> None:
    outbox, counters = Outbox(Alert), Counter[str]()
    dispatch = Dispatch(settings(tmp_path, "supervisor"), "gw1", outbox.send, counters)
    await dispatch.send(Outcome(INCIDENT, (decision(0),), (ALERT,)))
    assert outbox.sent[0] == ("supervisor", "request", (decision(0), INCIDENT))
    assert counters == {"incidents_cut": 1}


async def test_every_order_is_sent_though_its_incident_can_not_be(tmp_path: Path) -> None:
    outbox, counters = Outbox(Incident), Counter[str]()
    both = (decision(0), decision(1))
    dispatch = Dispatch(settings(tmp_path, "supervisor"), "gw1", outbox.send, counters)
    await dispatch.send(Outcome(INCIDENT, both, ()))
    assert outbox.sent == [("supervisor", "request", (one,)) for one in both]
    assert counters == {"incidents_cut": 1, "incidents_unsendable": 1}


async def test_the_own_gateway_is_not_ordered_what_a_rule_holds_back(tmp_path: Path) -> None:
    outbox = Outbox()
    made = settings(tmp_path, "supervisor", "reaction")
    policy = made.policy.model_copy(update={"modes": {"r": "approve"}})
    held = made.model_copy(update={"policy": policy})
    dispatch = Dispatch(held, "gw1", outbox.send, Counter())
    await dispatch.send(Outcome(INCIDENT, (decision(0),), (ALERT,)))
    assert [to for to, _, _ in outbox.sent] == ["supervisor", "ontology"]
    other = replace(INCIDENT, rule="another")
    await dispatch.send(Outcome(other, (decision(1),), (ALERT,)))
    assert outbox.sent[2][0] == "reaction"


async def test_the_own_gateway_is_ordered_before_anybody_is_asked(tmp_path: Path) -> None:
    outbox = Outbox()
    both = (decision(0), decision(1))
    dispatch = Dispatch(
        settings(tmp_path, "supervisor", "reaction"),
        "gw1",
        outbox.send,
        Counter(),
        lambda: ("correlation.gw2@honeynet.localdomain",),
    )
    await dispatch.send(Outcome(INCIDENT, both, (ALERT,)))
    everything = (*both, INCIDENT, ALERT)
    assert outbox.sent == [
        ("reaction", "request", both),
        ("supervisor", "request", everything),
        ("correlation", "inform", everything),
        ("ontology", "inform", everything),
    ]
    # An incident without a decision is no business of others.
    outbox.sent.clear()
    await dispatch.send(Outcome(INCIDENT, (), (ALERT,)))
    assert [to for to, _, _ in outbox.sent] == ["supervisor", "ontology"]


async def test_without_a_supervisor_the_own_gateway_is_ordered_all_the_same(
    tmp_path: Path,
) -> None:
    outbox = Outbox(Incident)
    dispatch = Dispatch(settings(tmp_path, "reaction"), "gw1", outbox.send, Counter())
    await dispatch.send(Outcome(INCIDENT, (decision(0),), (ALERT,)))
    assert outbox.sent == [("reaction", "request", (decision(0),))]


async def test_many_orders_go_out_in_several_messages(tmp_path: Path) -> None:
    outbox = Outbox()
    dispatch = Dispatch(settings(tmp_path, "reaction"), "gw1", outbox.send, Counter())
    await dispatch.order_own_gateway([decision(number) for number in range(120)])
    assert [len(records) for _, _, records in outbox.sent] == [50, 50, 20]


class Wire:
    """Takes what can be written: the real limit of a message."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, tuple[Record, ...]]] = []

    async def send(
        self,
        receivers: Sequence[str],
        performative: str,
        records: Sequence[Record],
        *,
        protocol: str,
        within_s: float | None = None,
    ) -> tuple[AclMessage, ...]:
        message = AclMessage(
            performative=performative,
            sender="c@h.test",
            receivers=tuple(receivers),
            content=encode(records),
        )
        self.sent += [(to.partition(".")[0], tuple(records)) for to in receivers]
        return (message,)


async def test_many_orders_with_long_reasons_reach_the_own_gateway(tmp_path: Path) -> None:
    # Fifty attackers of one case, each with its whole derivation: more than one message holds.
    wire, counters = Wire(), Counter[str]()
    many = tuple(replace(decision(n), reason="Because. " * 900) for n in range(50))
    dispatch = Dispatch(settings(tmp_path, "supervisor", "reaction"), "gw1", wire.send, counters)
    await dispatch.send(Outcome(INCIDENT, many, ()))
    for receiver in ("reaction", "supervisor"):
        ordered = [r for to, part in wire.sent if to == receiver for r in part]
        assert ordered == list(many)
    # One that fits into no message loses the end of its reason, not the block.
    wire.sent.clear()
    await dispatch.order_own_gateway([replace(decision(0), reason="r" * 250_000)])
    [(to, (short,))] = wire.sent
    assert to == "reaction" and short == replace(decision(0), reason="r" * SHORT_REASON)
    assert "orders_unsendable" not in counters
