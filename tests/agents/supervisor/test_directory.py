"""The directory: leases, restarts, duplicates, roles."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.supervisor.directory import MAX_LEASE_S, Directory, DirectoryError


@pytest.fixture
def directory(settings):
    return Directory(settings)


def test_an_agent_comes_up_is_renewed_and_lapses_exactly_at_its_lease(directory, settings, kit):
    agent = kit.describe(settings, "reaction", "gw2")
    assert directory.register(agent, agent.name, kit.T0) == "up"
    assert directory.register(agent, agent.name, kit.T0 + 5 * kit.S) == "renewed"
    assert directory.lapse(kit.T0 + 20 * kit.S - 1) == ()
    (gone,) = directory.lapse(kit.T0 + 20 * kit.S)
    assert gone.description.name == agent.name
    assert not directory.is_up(agent.name)
    assert directory.lapse(kit.T0 + 99 * kit.S) == ()
    assert directory.register(agent, agent.name, kit.T0 + 100 * kit.S) == "returned"
    assert directory.get(agent.name).since_us == kit.T0


def test_a_renewal_after_the_lease_but_before_the_sweep_is_a_return(directory, settings, kit):
    agent = kit.describe(settings, "reaction", "gw2")
    directory.register(agent, agent.name, kit.T0)
    assert directory.register(agent, agent.name, kit.T0 + 16 * kit.S) == "returned"


def test_a_new_process_is_a_restart_and_the_old_one_a_refused_duplicate(directory, settings, kit):
    first = kit.describe(settings, "reaction", "gw1", "a")
    second = kit.describe(settings, "reaction", "gw1", "b")
    directory.register(first, first.name, kit.T0)
    assert directory.register(second, first.name, kit.T0 + 1) == "restarted"
    with pytest.raises(DirectoryError, match="a second agent"):
        directory.register(first, first.name, kit.T0 + 2)
    assert directory.register(second, first.name, kit.T0 + 3) == "renewed"


@pytest.mark.parametrize("swept", [True, False])
@pytest.mark.parametrize("others", [1, 2])
def test_the_elder_gets_its_registration_again_when_the_newer_lease_lapses(
    directory, settings, kit, swept, others
):
    first = kit.describe(settings, "reaction", "gw1", "a")
    directory.register(first, first.name, kit.T0)
    for number in range(others):
        newer = kit.describe(settings, "reaction", "gw1", f"b{number}")
        directory.register(newer, first.name, kit.T0 + number + 1)
    late = kit.T0 + others + 15 * kit.S
    with pytest.raises(DirectoryError, match="a second agent"):
        directory.register(first, first.name, late - 1)
    if swept:
        directory.lapse(late)
    assert directory.register(first, first.name, late) == "restarted"
    assert directory.register(first, first.name, late + 1) == "renewed"
    with pytest.raises(DirectoryError, match="a second agent"):
        directory.register(newer, first.name, late + 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "sensor.gw1@honeynet.localdomain"}, "may not register"),
        ({"role": "supervisor"}, "may be reaction"),
        ({"node": "gw1"}, "may be reaction"),
        ({"lease_s": 0}, "lease"),
    ],
)
def test_false_claims_are_refused(directory, settings, kit, change, message):
    agent = kit.describe(settings, "reaction", "gw2")
    with pytest.raises(DirectoryError, match=message):
        directory.register(replace(agent, **change), agent.name, kit.T0)
    assert directory.get(agent.name) is None


def test_a_stranger_is_refused(directory, settings, kit):
    agent = replace(kit.describe(settings, "reaction", "gw2"), name="evil@honeynet.localdomain")
    with pytest.raises(DirectoryError, match="not an agent of this honeynet"):
        directory.register(agent, agent.name, kit.T0)


def test_a_long_lease_is_cut(directory, settings, kit):
    agent = replace(kit.describe(settings, "sensor", "gw2"), lease_s=10**6)
    directory.register(agent, agent.name, kit.T0)
    assert len(directory.lapse(kit.T0 + MAX_LEASE_S * kit.S)) == 1


def test_news_of_conditions_are_no_mere_renewal(directory, settings, kit):
    well = kit.describe(settings, "sensor", "gw1")
    ill = replace(well, conditions='[{"name":"capture.wan0"}]')
    directory.register(well, well.name, kit.T0)
    assert directory.register(ill, well.name, kit.T0 + 1) == "changed"
    assert directory.register(ill, well.name, kit.T0 + 2) == "renewed"
    assert directory.register(well, well.name, kit.T0 + 3) == "changed"
    assert directory.get(well.name).since_us == kit.T0
