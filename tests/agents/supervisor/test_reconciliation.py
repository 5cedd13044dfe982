"""Reports in, orders out, with a real ledger."""

from __future__ import annotations

from collections import Counter
from ipaddress import ip_address

import pytest

from agents.supervisor.directory import Directory
from agents.supervisor.propagation import Propagation
from agents.supervisor.reconciliation import ADOPTION_US, EVERY_S, Reconciliation
from ontology.gateway_addresses import GatewayAddresses


@pytest.fixture
def propagation(settings):
    return Propagation.from_settings(settings)


@pytest.fixture
def work(settings, ledger, propagation, kit):
    directory = Directory(settings)
    for name in kit.GATEWAYS:
        jid = settings.jid("reaction", name)
        directory.register(kit.describe(settings, "reaction", name), jid, kit.T0)
    return Reconciliation(ledger, propagation, directory, Counter(), kit.T0)


@pytest.fixture
def entry(propagation, ledger, kit):
    made = propagation.on_decision(kit.decision(), None, new_id=kit.urn("e"), now_us=kit.T0).entry
    ledger.save(made)
    return made


def test_what_a_gateway_does_not_confirm_is_ordered_again(work, entry, kit):
    assert work.report(kit.report(entry.decision, "gw1"), kit.T0) is not None
    assert work.due(kit.T0 + EVERY_S * kit.S - 1) == []
    orders = work.due(kit.T0 + EVERY_S * kit.S)
    assert [o.gateway for o in orders] == ["gw2", "gw3"]
    assert work.due(kit.T0 + EVERY_S * kit.S + 1) == []


def test_what_a_node_ordered_itself_is_waited_for(work, entry, kit):
    work.expect(entry, "gw2", kit.T0)
    assert work.due(kit.T0 + ADOPTION_US - 1) == []
    assert [o.gateway for o in work.due(kit.T0 + ADOPTION_US)] == ["gw2"]
    assert work.due(kit.T0 + ADOPTION_US) == []


def test_what_it_reported_is_not_ordered(work, entry, kit):
    work.expect(entry, "gw2", kit.T0)
    work.report(kit.report(entry.decision, "gw2"), kit.T0)
    assert work.due(kit.T0 + ADOPTION_US) == []


def test_a_report_of_nothing(work, kit):
    assert work.report(kit.report(kit.decision(), "gw1", "expired"), kit.T0) is None


def test_kernels_are_known_after_a_restart(work, settings, ledger, entry, kit):
    kernel = GatewayAddresses(id=kit.urn("k"), node="gw1", routers=(ip_address("203.0.113.9"),))
    ((found, why),) = work.protect(kernel, kit.T0)
    assert found.id == entry.id and "a router of gateway gw1" in why
    again = Propagation.from_settings(settings)
    Reconciliation(ledger, again, Directory(settings), Counter(), kit.T0)
    assert again.protected.refusal(ip_address("203.0.113.9")) is not None


STEPS = (-86_400, -3_600, 3_600, 30 * 86_400)


@pytest.mark.parametrize("step_s", STEPS)
def test_a_clock_that_is_set_puts_off_no_order(work, ledger, entry, kit, step_s):
    """Decided just before it was seen that the clock was set; the gateway of the node, which has no
    order of its own, and the others, which say nothing, get theirs as soon as ever."""
    work.expect(entry, "gw2", kit.T0)
    step_us = step_s * kit.S
    ledger.move_ends(step_us, kit.T0 + step_us)
    work.clock_set(step_us)
    assert work.due(kit.T0 + step_us + ADOPTION_US - 1) == []
    orders = work.due(kit.T0 + step_us + ADOPTION_US)
    assert [(o.gateway, o.decision.duration_s) for o in orders] == [("gw2", 898)]
    later = work.due(kit.T0 + step_us + EVERY_S * kit.S)
    assert {(o.gateway, o.decision.duration_s) for o in later} == {
        (name, 885) for name in kit.GATEWAYS
    }


@pytest.mark.parametrize("step_s", STEPS)
def test_reports_after_a_clock_was_set_are_not_late(work, ledger, entry, kit, step_s):
    work.report(kit.report(entry.decision, "gw1"), kit.T0)
    step_us = step_s * kit.S
    ledger.move_ends(step_us, kit.T0 + step_us)
    work.clock_set(step_us)
    now_us = kit.T0 + step_us + kit.S
    changed = work.report(kit.report(entry.decision, "gw1", "lifted", now_us), now_us)
    assert changed is not None and changed[0].on("gw1").state == "lifted"
