"""Runs inside a sandbox: builds the honeynet, sends real traffic, prints one JSON line."""

import json
import os
import socket
import sys
import time

from datasets.laboratory.network import Lab
from datasets.laboratory.topology import build_honeynet

SERVER = """
import socket, sys
v6 = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    c, a = v6.accept()
    c.sendall(a[0].encode())
    c.close()
"""
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], 7000), timeout=5) as s:
    print(s.recv(100).decode())
"""


def main() -> None:
    began = time.perf_counter()
    with Lab() as lab:
        net = build_honeynet(lab, gateways=2)
        built_s = time.perf_counter() - began
        servers = []
        for pot in (*net.honeypots, net.control):
            server = lab.popen(pot.namespace, [sys.executable, "-c", SERVER], stdout=-1)
            assert server.stdout is not None and server.stdout.readline() == "ready\n"
            servers.append(server)
        seen = {}
        for stranger in (net.attacker, net.client, net.monitor):
            for pot in net.honeypots:
                for address in (pot.ipv4, pot.ipv6):
                    done = lab.run(stranger.namespace, [sys.executable, "-c", CLIENT, str(address)])
                    seen[f"{stranger.namespace}>{address}"] = done.stdout.strip()
        for gateway in net.gateways:
            for address in (net.control.ipv4, net.control.ipv6):
                done = lab.run(gateway.namespace, [sys.executable, "-c", CLIENT, str(address)])
                seen[f"{gateway.namespace}>{address}"] = done.stdout.strip()
        outside = lab.run(
            net.attacker.namespace,
            [sys.executable, "-c", CLIENT, str(net.control.ipv4)],
            check=False,
        )
        interfaces = [name for _, name in socket.if_nameindex()]
        pids = [server.pid for server in servers]
    alive = [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    print(
        json.dumps(
            {
                "built_s": built_s,
                "seen": seen,
                "management_reachable": outside.returncode == 0,
                "interfaces": interfaces,
                "alive": alive,
            }
        )
    )


main()
