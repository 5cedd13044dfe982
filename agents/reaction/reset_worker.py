"""``python -m agents.reaction.reset_worker [INTERFACE…]``: scapy sends the RSTs of `resets`.

In: a line ``{"watch": {ADDRESS: seconds}}``, the whole list, any number of times. Out: ``{"ready":
true}`` once, ``{"done": true}`` after each line, or ``{"error": …}``. Ends with its parent.

Frames come from strangers: only scapy's own dissection looks at them, everything is bounded, and a
packet that can't be dissected is left alone. A bare SYN is no live connection and gets no answer,
so a flood of them makes us send nothing.
"""

from __future__ import annotations

import json
import os
import select
import sys
import threading
import time
from collections import OrderedDict, deque
from typing import Any

from scapy.arch.common import compile_filter
from scapy.config import conf
from scapy.error import Scapy_Exception
from scapy.interfaces import get_working_ifaces
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from agents.base import privileges
from ontology import landlock

PER_CONNECTION = 6
"""Times that we try to end one connection."""
PER_SECOND = 200
"""Packets that we send at most."""
MAX_CONNECTIONS = 4096
_PER_READ = 64
_EVERY_S = 0.5

End = tuple[str, int]


def reset_packets(packet: Packet) -> list[tuple[Packet, Packet | None]]:
    """The RSTs that end the connection of one live TCP packet.

    Each with the link layer to answer on, or None where routing has to find the way. The one for
    the sender carries the number that the sender acknowledged. The receiver may or may not have got
    this very packet (a firewall may have dropped it meanwhile), so it gets two.
    """
    layer = IP if IP in packet else IPv6
    ip, tcp = packet[layer], packet[TCP]
    flags = int(tcp.flags)
    if flags & 0x04 or flags & 0x12 == 0x02:  # RST; SYN without ACK
        return []
    length = len(tcp.payload) + bool(flags & 0x02) + bool(flags & 0x01)
    if layer is IP and ip.len is not None:
        # Short frames are padded: what the header says counts, as far as it can be true.
        length = max(ip.len - ip.ihl * 4 - tcp.dataofs * 4, 0) + bool(flags & 3)

    def rst(source: End, target: End, number: int) -> Packet:
        head = layer(src=source[0], dst=target[0])
        return head / TCP(sport=source[1], dport=target[1], flags="R", seq=number % (1 << 32))

    sender, receiver = (ip.src, tcp.sport), (ip.dst, tcp.dport)
    out: list[tuple[Packet, Packet | None]] = []
    for number in sorted({tcp.seq, tcp.seq + length}):
        out.append((rst(sender, receiver, number), None))
    if flags & 0x10:
        back = None
        if Ether in packet:
            back = Ether(src=packet[Ether].dst, dst=packet[Ether].src)
        out.append((rst(receiver, sender, tcp.ack), back))
    return out


class Resetter:
    """Listens, and resets what belongs to a watched address."""

    def __init__(self, interfaces: list[str]) -> None:
        """Raises: OSError, Scapy_Exception."""
        found = interfaces or [i.name for i in get_working_ifaces() if i.name != "lo"]
        self._interfaces = found
        self._sockets: list[Any] = []
        self._senders = {name: conf.L2socket(iface=name) for name in found}
        self._routed = {4: conf.L3socket(), 6: conf.L3socket6() if conf.ipv6_enabled else None}
        self._watched: dict[str, float] = {}
        self._lock = threading.Lock()
        self._tries: OrderedDict[tuple[Any, ...], int] = OrderedDict()
        self._sent: deque[float] = deque()
        self._logged: set[type] = set()

    def watch(self, wanted: dict[str, float]) -> None:
        """Replace the list of addresses (and their seconds) and the kernel's filter."""
        now = time.monotonic()
        hosts = " or ".join(f"host {address}" for address in sorted(wanted))
        fresh = []
        if wanted:
            for name in self._interfaces:
                fresh.append(conf.L2listen(iface=name, filter=f"tcp and ({hosts})"))
        with self._lock:
            old, self._sockets = self._sockets, fresh
            self._watched = {a: now + seconds for a, seconds in wanted.items()}
            for sock in old:
                sock.close()

    def serve(self) -> None:
        """For ever, in a thread."""
        while True:
            with self._lock:
                self._turn()
            time.sleep(0.01)

    def _turn(self) -> None:
        ready, _, _ = select.select(self._sockets, [], [], 0) if self._sockets else ([], [], [])
        for sock in ready:
            for _ in range(_PER_READ):
                try:
                    packet = sock.recv()
                except OSError:
                    break  # the interface went away
                except Exception as e:  # scapy's dissectors raise anything
                    self._undissected(e)
                    continue
                if packet is not None:
                    self._look(packet, sock)
                if not select.select([sock], [], [], 0)[0]:
                    break

    def _look(self, packet: Packet, sock: Any) -> None:
        try:
            ip = packet[IP] if IP in packet else packet[IPv6] if IPv6 in packet else None
            if ip is None or TCP not in packet:
                return
            now = time.monotonic()
            if max(self._watched.get(ip.src, 0), self._watched.get(ip.dst, 0)) < now:
                return
            tcp = packet[TCP]
            key = tuple(sorted(((ip.src, tcp.sport), (ip.dst, tcp.dport))))
            if self._tries.get(key, 0) >= PER_CONNECTION:
                return
            answers = reset_packets(packet)
            if not answers or not self._may_send(now, len(answers)):
                return
            self._tries[key] = self._tries.pop(key, 0) + 1
            if len(self._tries) > MAX_CONNECTIONS:
                self._tries.popitem(last=False)
            interface = str(getattr(sock, "iface", ""))
            for answer, link in answers:
                self._send(answer, link, interface)
        except Exception as e:  # a crafted packet must not end this
            self._undissected(e)

    def _undissected(self, e: Exception) -> None:
        """Tell the first of each kind; the log is not for who sends packets to fill."""
        if type(e) not in self._logged and len(self._logged) < 20:
            self._logged.add(type(e))
            sys.stderr.write(f"tcp-reset: a packet was left alone: {type(e).__name__}\n")

    def _send(self, answer: Packet, link: Packet | None, interface: str) -> None:
        sender = self._senders.get(interface)
        if link is not None and sender is not None:
            sender.send(link / answer)
            return
        routed = self._routed[4 if IP in answer else 6]
        if routed is not None:
            routed.send(answer)

    def _may_send(self, now: float, count: int) -> bool:
        while self._sent and self._sent[0] < now - 1:
            self._sent.popleft()
        if len(self._sent) + count > PER_SECOND:
            return False
        self._sent.extend([now] * count)
        return True


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Until the end of standard input."""
    conf.verb = 0
    try:
        compile_filter("tcp", linktype=1)  # loads libpcap, for which it starts ldconfig
        # It looks at strangers' packets: no rules of the firewall, no file of its agent's.
        privileges.drop({privileges.NET_RAW})
        landlock.confine(landlock.Allowed(tuple(landlock.worker_program())))
        resetter = Resetter(sys.argv[1:])
    except (OSError, Scapy_Exception, ValueError) as e:
        _say({"error": f"no raw packets: {e}"})
        return 1
    threading.Thread(target=resetter.serve, daemon=True).start()
    _say({"ready": True})
    for line in sys.stdin:
        try:
            resetter.watch(json.loads(line)["watch"])
        except (OSError, Scapy_Exception, ValueError, KeyError) as e:
            _say({"error": f"can't watch: {e}"})
            continue
        _say({"done": True})
    return 0


if __name__ == "__main__":
    code = main()
    os._exit(code)  # a sending thread may hang in the kernel
