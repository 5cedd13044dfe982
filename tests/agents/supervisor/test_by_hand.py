"""What a person's word makes of an entry."""

from __future__ import annotations

import pytest

from agents.base.protected import Protected
from agents.settings.modes import Modes
from agents.supervisor.bans import Bans
from agents.supervisor.by_hand import shortened, vetoed, waiting_again


@pytest.fixture
def bans(kit):
    return Bans(kit.GATEWAYS, Protected(), 7 * 86400, Modes({"gw2": "approve", "gw3": "shadow"}))


@pytest.fixture
def entry(bans, kit):
    return bans.rule(kit.decision(), None, None, new_id=kit.urn("e"), now_us=kit.T0).entry


def test_a_veto_and_its_undo_touch_only_what_waits(entry, kit):
    assert [g.state for g in entry.gateways] == ["pending", "waiting", "shadow"]
    no = vetoed(entry, "user:ana", kit.T0 + 1)
    assert [g.state for g in no.gateways] == ["pending", "refused", "shadow"]
    again = waiting_again(no, kit.T0 + 2, 600 * kit.S)
    assert [(g.state, g.wanted) for g in again.gateways] == [
        ("pending", "block"),
        ("waiting", "none"),
        ("shadow", "none"),
    ]
    assert again.expires_us == entry.expires_us


def test_a_shorter_end_is_unconfirmed_where_it_is_blocked_and_nowhere_else(entry, bans, kit):
    active = bans.on_report(entry, kit.report(entry.decision, "gw1"), kit.T0)
    by_hand = kit.decision("hand", origin="user:ana", duration_s=60)
    short = shortened(active, by_hand, kit.T0 + 60 * kit.S, kit.T0 + 1)
    assert short.remaining_s(kit.T0) == 60
    assert [g for g in kit.GATEWAYS if short.lacks(g)] == ["gw1"]
