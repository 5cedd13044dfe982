"""The last judge before the kernel."""

from __future__ import annotations

import uuid
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agents.base.protected import canonical, canonical_network
from agents.reaction.policy import ReactionPolicy
from agents.settings.honeynet import Settings
from ontology.records import Address, Decision, Network

NOW_US = 1_800_000_000_000_000
CORE = ("supervisor", "correlation", "ontology", "reaction")


def policy(**changes: Any) -> ReactionPolicy:
    return ReactionPolicy(
        Settings.model_validate(
            {
                "state_dir": Path("state"),
                "policy": changes,
                "node": [{"name": "gw1", "agents": CORE, "addresses": ["192.0.2.101"]}],
                "honeypot": [{"address": "198.51.100.18", "node": "gw1"}],
            }
        )
    )


def decision(
    source: str | Address, *, ident: str = "", action: str = "block", **changes: Any
) -> Decision:
    values: dict[str, Any] = {
        "classification": "SynScan",
        "origin": "correlation.gw1@honeynet.localdomain",
        "decided_us": NOW_US,
        "duration_s": 60 if action == "block" else 0,
        "reason": "test",
    }
    return Decision(
        id=ident or f"urn:uuid:{uuid.uuid4()}",
        action=action,
        source=ip_address(source) if isinstance(source, str) else source,
        **(values | changes),
    )


@pytest.mark.parametrize(
    ("mode", "named", "by_agent", "by_person"),
    [
        ("enforce", {}, "", ""),
        ("enforce", {"SynScan": "approve"}, "waiting", ""),
        ("enforce", {"Other": "shadow"}, "", ""),
        ("approve", {}, "waiting", ""),
        ("approve", {"SynScan": "shadow"}, "shadow", ""),
        ("shadow", {}, "shadow", "shadow"),
    ],
)
def test_a_mode_holds_back_and_forgets_it(
    mode: str, named: dict[str, str], by_agent: str, by_person: str
) -> None:
    node = {"name": "gw1", "agents": CORE, "mode": mode}
    settings = Settings.model_validate(
        {"state_dir": Path("state"), "policy": {"modes": named}, "node": [node]}
    )
    judge = ReactionPolicy(settings, "gw1")
    assert judge.drops_nothing == (mode == "shadow")
    for ident in ("urn:uuid:1", "urn:uuid:1"):  # the same again: it may be approved meanwhile
        verdict = judge.judge(decision("192.0.2.7", ident=ident), NOW_US)
        assert (verdict.permitted, verdict.rule) == (not by_agent, by_agent)
        approved = decision("192.0.2.7", ident=ident, origin="user:ana")
        verdict = judge.judge(approved, NOW_US)
        assert (verdict.permitted, verdict.rule) == (not by_person, by_person)
    assert judge.judge(decision("192.0.2.7", action="unblock"), NOW_US).permitted


@pytest.mark.parametrize(
    ("source", "rule", "words"),
    [
        ("10.1.2.3", "allow-list", "10.1.0.0/16"),
        ("::ffff:10.1.2.3", "allow-list", "10.1.0.0/16"),
        ("2001:db8:77::9", "allow-list", "2001:db8:77::/48"),
        ("2001:db8:77::9%eth0", "allow-list", "2001:db8:77::/48"),
        ("10.9.0.7", "allow-list", "10.9.0.0/24"),
        ("192.0.2.101", "own", "node gw1"),
        ("::ffff:192.0.2.101", "own", "node gw1"),
        ("198.51.100.18", "own", "honeypot"),
        ("127.0.0.1", "special", "loopback"),
        ("::1", "special", "loopback"),
        ("::ffff:127.0.0.1", "special", "loopback"),
        ("0.0.0.0", "special", "unspecified"),  # noqa: S104
        ("::", "special", "unspecified"),
        ("0.1.2.3", "special", "reserved"),
        ("224.0.0.5", "special", "multicast"),
        ("ff02::1", "special", "multicast"),
        ("255.255.255.255", "special", "broadcast"),
        ("240.0.0.1", "special", "reserved"),
        ("169.254.1.1", "special", "link-local"),
        ("fe80::1%eth0", "special", "link-local"),
    ],
)
def test_refused(source: str, rule: str, words: str) -> None:
    judge = policy(allow=["10.1.0.0/16", "2001:db8:77::/48", "::ffff:10.9.0.0/120"])
    verdict = judge.judge(decision(source), NOW_US)
    assert (verdict.permitted, verdict.rule) == (False, rule)
    assert words in verdict.reason
    assert judge.counters == {rule: 1}


def test_mapped_address_is_blocked_as_ipv4() -> None:
    verdict = policy().judge(decision("::ffff:203.0.113.5"), NOW_US)
    assert verdict.permitted
    assert verdict.address == IPv4Address("203.0.113.5")


def test_duration_is_cut() -> None:
    judge = policy(maximum_duration="2h")
    assert judge.judge(decision("203.0.113.5", duration_s=7200), NOW_US).duration_s == 7200
    assert judge.judge(decision("203.0.113.6", duration_s=7201), NOW_US).duration_s == 7200
    assert judge.counters == {"shortened": 1}


def test_rate_is_limited_to_a_sliding_minute() -> None:
    judge = policy(maximum_blocks_per_minute=3)

    def permitted(number: int, second: float) -> bool:
        now_us = NOW_US + int(second * 1e6)
        order = decision(IPv4Address(0xCB007100 + number), ident=f"urn:x:{number}", duration_s=900)
        return judge.judge(order, now_us).permitted

    assert [permitted(n, n * 10.0) for n in range(3)] == [True, True, True]
    assert not permitted(3, 59.9)
    assert permitted(3, 60.0), "the first is a minute old; and a refusal for the rate is not final"
    assert not permitted(4, 69.9)
    assert permitted(0, 69.9), "repeating a decision uses up nothing"
    again = decision("203.0.113.1", ident="urn:x:other")
    assert not judge.judge(again, NOW_US + 60_000_000 - 1).permitted
    assert judge.judge(again, NOW_US + 60_000_000 - 1, renewal=True).permitted
    assert judge.counters["rate"] == 3


def test_stale_decision() -> None:
    judge = policy()
    assert judge.judge(decision("203.0.113.5"), NOW_US, age_s=59.99).permitted
    verdict = judge.judge(decision("203.0.113.6"), NOW_US, age_s=60.0)
    assert (verdict.permitted, verdict.rule) == (False, "stale")


def test_same_decision_same_answer() -> None:
    judge = policy(allow=["10.1.0.0/16"])
    bad = decision("10.1.2.3")
    assert judge.judge(bad, NOW_US) is judge.judge(bad, NOW_US + 1)
    good = decision("203.0.113.5")
    assert judge.judge(good, NOW_US) == judge.judge(good, NOW_US + 1)


def test_an_order_that_came_too_late_may_come_again_with_less_time() -> None:
    judge = policy()
    order = decision("203.0.113.5", ident="urn:x:1")
    assert judge.judge(order, NOW_US, age_s=61.0).rule == "stale"
    assert judge.judge(order, NOW_US, age_s=1.0).permitted


@pytest.mark.parametrize("decided_us", [0, NOW_US - 30 * 86_400_000_000, NOW_US * 2])
def test_what_the_clock_of_who_decides_says_means_nothing(decided_us: int) -> None:
    assert policy().judge(decision("203.0.113.5", decided_us=decided_us), NOW_US).permitted


def test_allow_listed_address_may_be_unblocked() -> None:
    judge = policy(allow=["10.1.0.0/16"])
    assert judge.judge(decision("10.1.2.3", action="unblock"), NOW_US).permitted


def _mapped(network: IPv4Network) -> IPv6Network:
    first = IPv6Address(0xFFFF_0000_0000 | int(network.network_address))
    return IPv6Network((first, 96 + network.prefixlen))


addresses = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.integers(0, 2**32 - 1).map(lambda n: IPv6Address(0xFFFF_0000_0000 | n)),
)


@st.composite
def allowed_pairs(draw: st.DrawFn) -> tuple[Network, Address]:
    """A network and an address inside it, either perhaps in its IPv4-mapped form."""
    address = draw(addresses)
    bits = 32 if address.version == 4 else 128
    network = ip_network((address, draw(st.integers(0, bits))), strict=False)
    plain = canonical(address)
    if isinstance(address, IPv4Address) and draw(st.booleans()):
        address = IPv6Address(0xFFFF_0000_0000 | int(address))
    if isinstance(network, IPv4Network) and draw(st.booleans()):
        network = _mapped(network)
    # A network wider than the mapped ones speaks of IPv6 only.
    assume(plain in canonical_network(network))
    return network, address


@given(
    pair=allowed_pairs(),
    others=st.lists(addresses, max_size=3),
    action=st.sampled_from(["block", "block", "unblock"]),
    renewal=st.booleans(),
    duration_s=st.integers(1, 366 * 86400),
)
def test_nothing_inside_the_allow_list_is_ever_blocked(
    pair: tuple[Network, Address],
    others: list[Address],
    action: str,
    renewal: bool,
    duration_s: int,
) -> None:
    network, inside = pair
    try:
        judge = policy(allow=[str(network)])
    except ValueError:
        return  # the settings refuse an allow-list that holds the honeypot
    for source in (*others, inside, inside):
        order = decision(source, action=action, duration_s=duration_s if action == "block" else 0)
        verdict = judge.judge(order, NOW_US, renewal=renewal)
        if action == "block" and verdict.permitted:
            assert verdict.address not in canonical_network(network)
            assert 0 < verdict.duration_s <= 7 * 86400
        if action == "block" and source == inside:
            assert not verdict.permitted
