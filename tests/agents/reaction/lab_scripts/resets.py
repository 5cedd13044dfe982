"""Runs inside a sandbox, in the gateway's network namespace: nftables leads, tcp-reset assists.

Prints one JSON object: what became of a blocked attacker's and of an ordinary client's connections.
"""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any

from hosts import enter, make_socket

from agents.reaction.responders import ResponderOptions, Team, make_team
from datasets.laboratory.network import Lab
from datasets.laboratory.topology import HoneynetTopology, LabHost, build_honeynet

LIMIT_S = 10.0
_PORT = 7001


def pair(source: LabHost, target: LabHost, version: int) -> tuple[socket.socket, socket.socket]:
    """Both ends of a live connection through the gateway."""
    address = str(target.ipv4 if version == 4 else target.ipv6)
    with make_socket(target.namespace, version, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, _PORT))
        listener.listen()
        here = make_socket(source.namespace, version, socket.SOCK_STREAM)
        here.settimeout(LIMIT_S)
        here.connect((address, _PORT))
        there, _ = listener.accept()
    there.settimeout(LIMIT_S)
    return here, there


def works(here: socket.socket, there: socket.socket) -> bool:
    here.sendall(b"one")
    good = there.recv(10) == b"one"
    there.sendall(b"two")
    return good and here.recv(10) == b"two"


def fate(end: socket.socket, word: bytes) -> str:
    """``reset``, ``open`` or what else came, after saying something."""
    try:
        end.sendall(word)
        got = end.recv(10)
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "open"
    return repr(got)


def scenario(net: HoneynetTopology, team: Team, version: int) -> dict[str, Any]:
    attacker, pot = net.attacker, net.honeypots[0]
    bad, good = pair(attacker, pot, version), pair(net.client, pot, version)
    before = [works(*bad), works(*good)]
    address = attacker.ipv4 if version == 4 else attacker.ipv6
    team.block(address, 60)
    while team.health()["responder.tcp-reset.waiting"]:
        time.sleep(0.01)
    began = time.monotonic()
    fates = [fate(bad[0], b"evil"), fate(bad[1], b"more")]
    return {
        "before": before,
        "fates": fates,
        "seconds": time.monotonic() - began,
        "client": works(*good),
        "lifted": team.unblock(address),
    }


def main() -> None:
    with Lab() as lab:
        net = build_honeynet(lab, gateways=1)
        enter("gw1")
        gateway = net.gateways[0]
        options = ResponderOptions(
            gateway="gw1", interfaces=(gateway.wan.interface, gateway.lan.interface)
        )
        team = make_team(["nftables", "tcp-reset"], options)
        team.install()
        out = {str(version): scenario(net, team, version) for version in (4, 6)}
        out["health"] = team.health()
        team.close()
        print(json.dumps(out), flush=True)
    os._exit(0)


main()
