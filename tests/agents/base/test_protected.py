"""One judge of "never block": whoever is asked, in whatever spelling, says the same."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.base.protected import Protected, canonical
from agents.correlation.decider import Decider
from agents.correlation.inference_findings import Finding
from agents.reaction.policy import ReactionPolicy
from agents.settings.honeynet import Settings
from agents.supervisor.propagation import Propagation
from ontology.gateway_addresses import GatewayAddresses
from ontology.records import Address, Decision
from rules.reactions.reaction_rules import shipped_reactions
from tests.factories import make_alert

NOW_US = 1_800_000_000_000_000
ALLOW = ("192.0.2.0/28", "::ffff:203.0.113.0/120", "2001:db8:77::/48")
KERNEL = GatewayAddresses(
    id="urn:uuid:1",
    node="gw1",
    own_addresses=(ip_address("100.64.0.2"), ip_address("2001:db8:1::2")),
    routers=(ip_address("100.64.0.1"),),
    broadcasts=(ip_address("100.64.0.255"),),
)


def settings() -> Settings:
    return Settings.model_validate(
        {
            "state_dir": Path("state"),
            "xmpp": {"host": "192.0.2.250"},
            "policy": {"allow": list(ALLOW)},
            "node": [
                {
                    "name": "gw1",
                    "agents": ["supervisor", "correlation", "ontology", "reaction"],
                    "addresses": ["192.0.2.101", "::ffff:192.0.2.102", "192.0.2.250"],
                }
            ],
            "honeypot": [{"address": "198.51.100.18", "node": "gw1"}],
        }
    )


SETTINGS = settings()
PROTECTED = Protected.from_settings(SETTINGS).with_kernel(KERNEL)
REACTIONS = shipped_reactions()


def forms(inner: IPv4Address) -> list[Address]:
    """An IPv4 address in every form that routers know."""
    n = int(inner)
    return [
        inner,
        IPv6Address(0xFFFF_0000_0000 | n),
        IPv6Address((0x0064_FF9B << 96) | n),
        IPv6Address((0x0064_FF9B_0001 << 80) | n),
        IPv6Address((0x0064_FF9B_0001 << 80) | (n >> 16) << 64 | (n & 0xFFFF) << 40),
        IPv6Address((0x2002 << 112) | n << 80 | 1),
        IPv6Address((0x2001_0000 << 96) | (0x41414141 << 64) | ~n & 0xFFFFFFFF),
        IPv6Address(n),
    ]


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        ("192.0.2.7", "allow-list", "on the allow-list (192.0.2.0/28)"),
        ("203.0.113.9", "allow-list", "on the allow-list (203.0.113.0/24)"),
        ("2001:db8:77::9%eth0", "allow-list", "2001:db8:77::/48"),
        ("192.0.2.101", "own", "192.0.2.101 is an address of node gw1"),
        ("192.0.2.102", "own", "an address of node gw1"),
        ("198.51.100.18", "own", "a honeypot of node gw1"),
        ("100.64.0.1", "own", "a router of gateway gw1"),
        ("100.64.0.2", "own", "an address of gateway gw1"),
        ("100.64.0.255", "own", "the broadcast address of a network of gateway gw1"),
        ("2001:db8:1::2", "own", "an address of gateway gw1"),
        ("169.254.1.1", "special", "link-local"),
        ("240.0.0.1", "special", "reserved"),
        ("0.1.2.3", "special", "reserved"),
        ("fe80::1", "special", "link-local"),
        ("255.255.255.255", "special", "broadcast"),
        ("224.0.0.1", "special", "multicast"),
        ("ff02::1", "special", "multicast"),
        ("127.0.0.1", "special", "loopback"),
        ("::1", "special", "loopback"),
        ("0.0.0.0", "special", "unspecified"),  # noqa: S104  (nothing listens)
        ("::", "special", "unspecified"),
        ("64:ff9b::192.0.2.7", "allow-list", "is the NAT64 form of 192.0.2.7, which is on the"),
        ("2002:cb00:7109::1", "allow-list", "is the 6to4 form of 203.0.113.9"),
        ("::127.0.0.1", "special", "is the IPv4-compatible form of 127.0.0.1"),
        ("64:ff9b::240.0.0.1", "special", "reserved"),
    ],
)
def test_refused(text: str, rule: str, words: str) -> None:
    found = PROTECTED.judge(ip_address(text))
    assert found is not None
    assert found.rule == rule
    assert words in found.reason
    assert PROTECTED.refusal(ip_address(text)) == found.reason


@pytest.mark.parametrize(
    "text", ["192.0.2.16", "203.0.114.1", "2001:db8:78::1", "64:ff9b::192.0.2.16", "100.64.0.3"]
)
def test_strangers_may_be_blocked(text: str) -> None:
    assert PROTECTED.refusal(ip_address(text)) is None


def test_an_attacker_cannot_take_on_the_form_of_an_allowed_host() -> None:
    """Whoever has a network of its own chooses the lower half of its addresses freely."""
    for text in ("2001:db8:9::5efe:192.0.2.7", "2001:db8:9::192.0.2.7", "2001:db8:9:ffff::"):
        assert PROTECTED.refusal(ip_address(text)) is None


def test_every_form_of_a_protected_address_is_protected() -> None:
    for text in ("192.0.2.7", "203.0.113.9", "192.0.2.101", "198.51.100.18", "100.64.0.255"):
        for form in forms(IPv4Address(text)):
            assert PROTECTED.judge(form) is not None, form


def test_what_a_kernel_said_last_counts() -> None:
    moved = GatewayAddresses(id="urn:uuid:2", node="gw1", own_addresses=(ip_address("10.1.1.1"),))
    later = PROTECTED.with_kernel(moved)
    assert later.refusal(ip_address("100.64.0.255")) is None
    assert later.refusal(ip_address("10.1.1.1")) == "10.1.1.1 is an address of gateway gw1"
    other = GatewayAddresses(id="urn:uuid:3", node="gw2", own_addresses=(ip_address("10.1.1.2"),))
    assert {"gw1", "gw2"} == later.with_kernel(other).kernels.keys()


v4 = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address),
    st.sampled_from([0xC0000200, 0xCB007100, 0xC6336412, 0x64400000]).flatmap(
        lambda first: st.integers(0, 255).map(lambda n: IPv4Address(first + n))
    ),
    st.sampled_from([0, 0x7F000001, 0xA9FE0101, 0xE0000001, 0xF0000001, 0xFFFFFFFF]).map(
        IPv4Address
    ),
)
addresses = st.one_of(
    v4.flatmap(lambda inner: st.sampled_from(forms(inner))),
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.sampled_from(["fe80::1", "ff02::1", "::", "::1", "2001:db8:77::1"]).map(ip_address),
)


def order(source: Address) -> Decision:
    return Decision(
        id=f"urn:x:{int(source)}",
        action="block",
        source=source,
        classification="SynScan",
        origin="correlation.gw1@honeynet.localdomain",
        decided_us=NOW_US,
        duration_s=60,
        reason="",
    )


def recommended(source: Address) -> bool:
    """Whether correlation recommends a block of this source, where a rule calls for one."""
    alert = make_alert(classification="SqlInjection", source=source, confidence=0.9)
    finding = Finding("HoneypotExploit", "Why.", source, None, block_candidate=True)
    finding.by_id = finding.later_by_id = {alert.id: alert}
    decider = Decider(
        {},
        SETTINGS.policy,
        PROTECTED,
        REACTIONS,
        origin="correlation@test",
        counters=Counter(),
        capacity=10,
    )
    return decider.judge_finding(finding, 0.9, NOW_US, fresh=True)[1] is not None


@given(source=addresses)
def test_correlation_supervisor_and_gateway_say_what_the_judge_says(source: Address) -> None:
    refusal = PROTECTED.refusal(source)
    assert refusal == PROTECTED.refusal(canonical(source))
    supervisor = Propagation.from_settings(SETTINGS)
    supervisor.protect(KERNEL)
    plan = supervisor.on_decision(order(source), None, new_id="e", now_us=NOW_US)
    gateway = ReactionPolicy(SETTINGS)
    gateway.protected = gateway.protected.with_kernel(KERNEL)
    verdict = gateway.judge(order(source), NOW_US)
    assert (plan.detail or None) == refusal
    assert (verdict.reason or None) == refusal
    assert plan.accepted == verdict.permitted == recommended(source) == (refusal is None)
