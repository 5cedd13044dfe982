"""What the kernel does with a packet of a blocked address, in a namespace of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from ipaddress import ip_address, ip_network

import pytest

from agents.reaction.firewall import DryRunFirewall
from agents.reaction.nftables import Nftables
from agents.reaction.packet_path import NOBODY, send_from

Namespace = Callable[[Callable[[], None]], None]
pytestmark = pytest.mark.root


def sh(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True, capture_output=True)


def installed() -> Nftables:
    sh("ip link set lo up")
    firewall = Nftables()
    firewall.install()
    return firewall


@pytest.mark.parametrize("rp_filter", [0, 1, 2])
def test_a_kernel_that_drops_proves_it_and_nothing_is_left(
    namespace: Namespace, rp_filter: int
) -> None:
    def body() -> None:
        firewall = installed()
        sh(f"echo {rp_filter} > /proc/sys/net/ipv4/conf/all/rp_filter")
        firewall.block(ip_address("192.0.2.66"), 60)
        firewall.reconcile({ip_address("192.0.2.66"): 60})
        assert firewall.prove() == ""
        assert firewall.counters()["blocked4"].packets == 1
        assert firewall.counters()["blocked6"].packets == 1
        assert set(firewall.blocked()) == {ip_address("192.0.2.66")}
        assert not firewall.changed(), "our own packet must not look like somebody's change"
        firewall.close()

    namespace(body)


@pytest.mark.parametrize(
    ("harm", "version"),
    [
        ("nft flush chain inet ontoidps from4", 4),
        ("nft flush chain inet ontoidps from6", 6),
        ("nft flush chain inet ontoidps prerouting", 4),
        ("nft insert rule inet ontoidps prerouting accept", 4),
        ("nft add table inet ontoidps '{ flags dormant; }'", 4),
        ("nft insert rule inet ontoidps from6 return", 6),
    ],
)
def test_a_kernel_that_lets_it_pass_is_found_out(
    namespace: Namespace, harm: str, version: int
) -> None:
    def body() -> None:
        firewall = installed()
        sh(harm)
        expected = f"a packet from a blocked IPv{version} address was not dropped"
        assert firewall.prove() == expected
        firewall.reconcile({})
        assert firewall.prove() == ""
        firewall.close()

    namespace(body)


def test_where_it_can_not_be_tried_nothing_is_claimed(namespace: Namespace) -> None:
    def body() -> None:
        sh("ip link set lo down")
        firewall = Nftables()
        firewall.install()
        assert not send_from(NOBODY[4]) and not send_from(NOBODY[6])
        assert firewall.prove() == ""
        firewall.close()
        allowing = Nftables([ip_network("192.0.0.0/24"), ip_network("100::/64")])
        allowing.install()
        sh("ip link set lo up")
        assert allowing.prove() == ""
        allowing.close()

    namespace(body)
    assert DryRunFirewall().prove() == ""


def test_a_block_that_somebody_means_is_left_alone(namespace: Namespace) -> None:
    def body() -> None:
        firewall = installed()
        firewall.block(NOBODY[4], 60)
        assert firewall.prove() == ""
        assert NOBODY[4] in firewall.blocked()
        firewall.close()

    namespace(body)
