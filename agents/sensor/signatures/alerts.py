"""Matches of signatures to alerts: one alert per signature, source, target and port.

Pure, for captures and for the live sensor (`agents.sensor.signatures.match_worker`), which puts a
`signature_limits.AlertLimiter` behind it.

An alert waits a little, so that repeats join it and the other end can show that the source is
real. A match alone doesn't: a payload can be sent from a forged address, also into a connection
that its owner really has. So the source counts as verified only if the connection is
(`SignatureMatcher.confirmed`) and the receiver acknowledged the very bytes that matched.
"""

from __future__ import annotations

import uuid
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address

import numpy as np

from agents.sensor.flows.decode import decode
from agents.sensor.flows.packets import ACK, ICMP, ICMPV6, TCP, Packets
from agents.sensor.signatures.directions import Flows, tcp_numbers
from agents.sensor.signatures.limits import AlertLimiter
from agents.sensor.signatures.matcher import SignatureMatcher
from datasets.captures.pcap import RawPackets
from ontology.records import Address, Alert
from rules.signatures.parse import Signature

WAIT_US = 10_000_000
"""An alert is given out this long after its first match, or at the end of the traffic."""
MAX_WAITING = 20_000
"""Findings that wait; beyond, the oldest is given out early."""
_FLOWS = 64
"""Connections of one finding that are kept apart, and matches of it that wait for their proof."""
_ACK_ROOM = 65_536
"""An acknowledgement proves a payload that ends at most this far before it: one in 65,536 payloads
of somebody who doesn't know the sequence number hits by chance."""
_NAMESPACE = uuid.UUID("0f6d2f2b-7e0a-5a4e-9a55-3c0f0d7a9b31")
_OWN = ("HOME_NET", "_SERVERS")

_Key = tuple[int, Address, Address, int | None]


@dataclass(slots=True)
class _Finding:
    begin_us: int
    end_us: int
    protocol: int
    packets: int = 0
    flows: set[bytes] = field(default_factory=set)
    unproven: list[_Sent] = field(default_factory=list)
    verified: bool = False


@dataclass(slots=True)
class _Sent:
    """A payload that matched."""

    flow: bytes
    to_server: bool
    end: int
    """Sequence number behind it."""
    acknowledged: bool = False


class SignatureAlerts:
    """Packets in, alerts of signatures out; on the packets' own time.

    Args:
        variables: see `SignatureMatcher`.
        sensor: who says so.
        honeypots: a match there is worth more (`at_honeypot`), and what is no attack elsewhere is a
            `HoneypotContact`.
        wait_us: how long an alert waits for its repeats and for proof of its source.
        limiter: what alerts pass before they are given out; None lets all through.
    """

    def __init__(
        self,
        signatures: Sequence[Signature],
        *,
        sensor: str,
        variables: Mapping[str, str] | None = None,
        honeypots: Collection[Address] = (),
        wait_us: int = WAIT_US,
        limiter: AlertLimiter | None = None,
    ) -> None:
        # Who limits alerts is live.
        self.matcher = SignatureMatcher(signatures, variables, shared=limiter is not None)
        self._sensor = sensor
        self._honeypots = frozenset(honeypots)
        self._wait_us = wait_us
        self._limiter = limiter
        self._waiting: OrderedDict[_Key, _Finding] = OrderedDict()
        self.hits: Counter[int] = Counter()
        """Matches by position in ``matcher.signatures``, also of those that are no attack."""

    def on_packets(self, raw: RawPackets) -> list[Alert]:
        """Take in a block of packets, in order of capture; alerts that are due."""
        packets = decode(raw)
        matches = self.matcher.match(packets)
        for packet, number in zip(matches.packet.tolist(), matches.signature.tolist(), strict=True):
            self.hits[number] += 1
            signature = self.matcher.signatures[number]
            if signature.attack_class is None and not self._honeypots:
                continue
            source = _to_address(packets.src[packet].tobytes())
            target = _to_address(packets.dst[packet].tobytes())
            port = int(packets.dst_port[packet])
            if _answers(signature):
                source, target, port = target, source, int(packets.src_port[packet])
            if signature.attack_class is None and target not in self._honeypots:
                continue
            protocol = int(packets.protocol[packet])
            has_port = protocol not in (ICMP, ICMPV6) and port > 0
            key = (number, source, target, port if has_port else None)
            now_us = int(packets.time_us[packet])
            finding = self._waiting.get(key)
            if finding is None:
                finding = self._waiting[key] = _Finding(now_us, now_us, protocol)
            finding.packets += 1
            finding.end_us = max(finding.end_us, now_us)
            flow = matches.flows.keys[int(matches.flows.group[packet])]
            if len(finding.flows) < _FLOWS:
                finding.flows.add(flow)
            if protocol == TCP and not finding.verified and len(finding.unproven) < _FLOWS:
                begin = int(tcp_numbers(packets, np.array([packet]))[0, 0])
                if begin >= 0:
                    end = (begin + int(packets.payload_bytes[packet])) % (1 << 32)
                    to_server = bool(matches.flows.to_server[packet])
                    # Whoever was called did not come by himself: own hosts can be made to call,
                    # and what the called one sends is not all his own.
                    if to_server != _answers(signature):
                        finding.unproven.append(_Sent(flow, to_server, end))
        self._prove(packets, matches.flows)
        return self.tick(int(packets.time_us[-1]) if len(packets) else 0)

    def tick(self, now_us: int) -> list[Alert]:
        """Alerts that are due at ``now_us``, on the packets' clock, without new packets."""
        found = self._take(now_us - self._wait_us)
        return found if self._limiter is None else found + self._limiter.due(now_us)

    def _prove(self, packets: Packets, flows: Flows) -> None:
        """Look through the block for what proves the sources of the findings that wait."""
        asked = [f for f in self._waiting.values() if f.unproven and not f.verified]
        wanted = {sent.flow for finding in asked for sent in finding.unproven}
        groups = [number for number, key in enumerate(flows.keys) if key in wanted]
        if not groups:
            return
        some = np.flatnonzero(np.isin(flows.group, groups) & (packets.flags & ACK > 0))
        seen: dict[tuple[bytes, bool], list[int]] = {}
        for packet, number in zip(
            some.tolist(), tcp_numbers(packets, some)[:, 1].tolist(), strict=True
        ):
            key = flows.keys[int(flows.group[packet])], not bool(flows.to_server[packet])
            seen.setdefault(key, []).append(number)
        for finding in asked:
            for sent in finding.unproven:
                numbers = seen.get((sent.flow, sent.to_server), ())
                sent.acknowledged |= any(
                    number >= 0 and (number - sent.end) % (1 << 32) < _ACK_ROOM
                    for number in numbers
                )
                # Asked at every block, since the connection may be forgotten later.
                if sent.acknowledged and self.matcher.confirmed(sent.flow):
                    finding.verified = True

    def finish(self) -> list[Alert]:
        """End of the traffic: all that waits."""
        found = self._take(None)
        return found if self._limiter is None else found + self._limiter.due(None)

    def _take(self, before_us: int | None) -> list[Alert]:
        alerts = []
        while self._waiting:
            key, finding = next(iter(self._waiting.items()))
            full = len(self._waiting) > MAX_WAITING
            if before_us is not None and finding.begin_us > before_us and not full:
                break
            del self._waiting[key]
            alert = self._alert(key, finding)
            if self._limiter is None:
                alerts.append(alert)
            else:
                alerts += self._limiter.offer(self.matcher.signatures[key[0]].iri, alert)
        return alerts

    def _alert(self, key: _Key, finding: _Finding) -> Alert:
        number, source, target, port = key
        signature = self.matcher.signatures[number]
        confidence = signature.confidence
        if target in self._honeypots:
            confidence = at_honeypot(confidence)
        name = f"{signature.iri} {source} {target} {port} {finding.begin_us}"
        where = "" if port is None else f" port {port}"
        proof = (
            "acknowledged in a completed connection" if finding.verified else "source not verified"
        )
        cves = f"; {', '.join(signature.cves[:4])}" if signature.cves else ""
        return Alert(
            id=f"urn:uuid:{uuid.uuid5(_NAMESPACE, name)}",
            classification=signature.attack_class or "HoneypotContact",
            source=source,
            target=target,
            target_port=port,
            protocol=finding.protocol,
            begin_us=finding.begin_us,
            end_us=finding.end_us,
            count=max(len(finding.flows), 1),
            confidence=confidence,
            verified_source=finding.verified,
            sensor=self._sensor,
            analyzer=self._sensor,
            explanation=(
                f"signature {signature.gid}:{signature.sid} revision {signature.revision} "
                f"{signature.message!r} ({signature.classtype}{cves}) matched "
                f"{finding.packets} packets to {target}{where}, {proof}"
            ),
        )


def at_honeypot(confidence: float) -> float:
    """What a match of this worth is worth at a honeypot: a third more, 0.4 to 0.95.

    As the two columns of ``inputs/classes.tsv``: nobody has business there.
    """
    return round(min(max(confidence + (1 - confidence) / 3, 0.4), 0.95), 3)


def _to_address(raw: bytes) -> Address:
    """16 network-order bytes to an address; IPv4-mapped becomes IPv4."""
    address = IPv6Address(raw)
    return address.ipv4_mapped or address


def _answers(signature: Signature) -> bool:
    """The packet is an own server's answer to the attacker, not the attacker's."""
    return signature.header.to_server is False and any(word in signature.source for word in _OWN)
