"""Matches of signatures to alerts: one alert per signature, source, target and port.

Pure, for captures and for the live sensor (`agents.sensor.signatures.match_worker`), which puts a
`signature_limits.AlertLimiter` behind it.

An alert waits a little, so that repeats join it and the other end can show that the source is
real. A match alone doesn't: a payload can be sent from a forged address, also into a connection
that its owner really has. So a match counts as verified only if it lies in a proven conversation
(`agents.sensor.flows.tcp_conversations`) whose server spoke (`SignatureMatcher.confirmed`), and the
receiver acknowledged the very bytes that matched. The others make an alert of their own: what is
real vouches for nothing else.
"""

from __future__ import annotations

import uuid
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address

import numpy as np

from agents.sensor.evidence.matched import Held, MatchedPackets
from agents.sensor.flows.decode import decode
from agents.sensor.flows.packets import ACK, ICMP, ICMPV6, Packets
from agents.sensor.flows.tcp_conversations import CLIENT, SERVER
from agents.sensor.signatures.directions import Flows
from agents.sensor.signatures.limits import AlertLimiter
from agents.sensor.signatures.matcher import SignatureMatcher
from agents.sensor.tunnel_trust import TunnelTrust
from datasets.captures.pcap import RawPackets
from ontology.records import Address, Alert
from rules.signatures.parse import Signature

WAIT_US = 10_000_000
"""An alert is given out this long after its first match, or at the end of the traffic."""
MAX_WAITING = 20_000
"""Findings that wait; beyond, the oldest is given out early."""
_HELD = 4
"""Matches of one finding whose frame waits for their proof."""
_FLOWS = 64
"""Connections of one finding that are kept apart, and matches of it that wait for their proof."""
MAX_SAMPLE = 16
"""CVEs that an alert lists."""
_ACK_ROOM = 65_536
"""An acknowledgement is one of a payload that ends at most this far before it."""
_NAMESPACE = uuid.UUID("0f6d2f2b-7e0a-5a4e-9a55-3c0f0d7a9b31")
_OWN = ("HOME_NET", "_SERVERS")

_Key = tuple[int, Address, Address, int | None]


@dataclass(slots=True)
class _Matches:
    """Those of one finding that are proven, or those that are not."""

    begin_us: int = 0
    end_us: int = 0
    packets: int = 0
    flows: set[bytes] = field(default_factory=set)
    cited: Held | None = None
    """Its first packet."""

    def add(self, flow: bytes, at_us: int) -> None:
        self.begin_us = min(self.begin_us, at_us) if self.packets else at_us
        self.end_us = max(self.end_us, at_us)
        self.packets += 1
        if len(self.flows) < _FLOWS:
            self.flows.add(flow)


@dataclass(slots=True)
class _Finding:
    begin_us: int
    protocol: int
    proven: _Matches = field(default_factory=_Matches)
    others: _Matches = field(default_factory=_Matches)
    waiting: list[_Sent] = field(default_factory=list)
    """In a proven conversation, but not yet acknowledged."""

    @property
    def lacks_proof(self) -> bool:
        """Whether the frame of one more match in a proven conversation is wanted."""
        if self.proven.cited is not None or len(self.waiting) >= _FLOWS:
            return False
        return sum(sent.held is not None for sent in self.waiting) < _HELD


@dataclass(slots=True)
class _Sent:
    """A payload that matched."""

    flow: bytes
    at_us: int
    to_server: bool
    end: int
    """Sequence number behind it."""
    held: Held | None = None
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
        midstream: see `SignatureMatcher`.
        one_sided: the capture sees one direction only, so that no source is ever verified.
        tunnels: in which a match can be verified; by default in none.
        evidence: given the packets that matched; None: nobody wants them.
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
        midstream: bool = False,
        one_sided: bool = False,
        tunnels: TunnelTrust | None = None,
        evidence: MatchedPackets | None = None,
    ) -> None:
        self.evidence = evidence
        self._one_sided = one_sided
        self._tunnels = tunnels or TunnelTrust()
        # Who limits alerts is live.
        self.matcher = SignatureMatcher(
            signatures, variables, midstream=midstream, shared=limiter is not None
        )
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
        now_us = int(packets.time_us[-1]) if len(packets) else 0
        if self.evidence is not None:
            self.evidence.add(raw)
        loose, left = self._tunnels.sort(packets)
        if loose is not None:
            self._match(raw, packets.take(loose), apart=True)
        if loose is not None or left is not None:
            out = np.zeros(len(packets), np.bool_)
            for some in (loose, left):
                out |= False if some is None else some
            packets = packets.take(~out)
        self._match(raw, packets)
        return self.tick(now_us)

    def _match(self, raw: RawPackets, packets: Packets, *, apart: bool = False) -> None:
        """``apart``: they prove nothing, and have no part in other packets' connections."""
        matches = self.matcher.match(packets, apart=apart)
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
                finding = self._waiting[key] = _Finding(now_us, protocol)
            flow = matches.flows.keys[int(matches.flows.group[packet])]
            to_server = bool(matches.flows.to_server[packet])
            # Whoever was called did not come by himself: own hosts can be made to call, and what
            # the called one sends is not all his own.
            came = to_server != _answers(signature)
            real = matches.flows.standing[packet] in (CLIENT, SERVER)
            held = None
            unproven = apart or self._one_sided or not came or not real
            wants = finding.others.cited is None if unproven else finding.lacks_proof
            if self.evidence is not None and wants:
                held = self.evidence.hold(
                    raw, packets, packet, answers=_answers(signature), real=not unproven
                )
            if unproven:
                finding.others.add(flow, now_us)
                finding.others.cited = finding.others.cited or held
            elif len(finding.waiting) < _FLOWS:
                begin = int(packets.sequence[packet])
                end = (begin + int(packets.payload_bytes[packet])) % (1 << 32)
                finding.waiting.append(_Sent(flow, now_us, to_server, end, held))
        if not apart:
            self._prove(packets, matches.flows)

    def tick(self, now_us: int) -> list[Alert]:
        """Alerts that are due at ``now_us``, on the packets' clock, without new packets."""
        found = self._take(now_us - self._wait_us)
        return found if self._limiter is None else found + self._limiter.due(now_us)

    def _prove(self, packets: Packets, flows: Flows) -> None:
        """Look through the block for what proves the sources of the findings that wait."""
        asked = [f for f in self._waiting.values() if f.waiting]
        wanted = {sent.flow for finding in asked for sent in finding.waiting}
        groups = [number for number, key in enumerate(flows.keys) if key in wanted]
        if not groups:
            return
        some = np.flatnonzero(np.isin(flows.group, groups) & (packets.flags & ACK > 0))
        seen: dict[tuple[bytes, bool], list[int]] = {}
        some = some[np.isin(flows.standing[some], (CLIENT, SERVER))]
        for packet, number in zip(
            some.tolist(), packets.acknowledgement[some].tolist(), strict=True
        ):
            key = flows.keys[int(flows.group[packet])], not bool(flows.to_server[packet])
            seen.setdefault(key, []).append(number)
        for finding in asked:
            still = []
            for sent in finding.waiting:
                numbers = seen.get((sent.flow, sent.to_server), ())
                sent.acknowledged |= any(
                    (number - sent.end) % (1 << 32) < _ACK_ROOM for number in numbers
                )
                # Asked at every block, since the connection may be forgotten later.
                if sent.acknowledged and self.matcher.confirmed(sent.flow):
                    self._settle(finding.proven, sent)
                else:
                    still.append(sent)
            finding.waiting = still

    def _settle(self, found: _Matches, sent: _Sent) -> None:
        """It is known now whether a match is proven."""
        found.add(sent.flow, sent.at_us)
        if self.evidence is not None and sent.held is not None:
            if found.cited is None:
                found.cited = sent.held
            else:
                self.evidence.let_go(sent.held)

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
            for sent in finding.waiting:
                self._settle(finding.others, sent)
            for found, verified in ((finding.proven, True), (finding.others, False)):
                if not found.packets:
                    continue
                alert = self._alert(key, found, finding.protocol, verified)
                if self.evidence is not None and found.cited is not None:
                    self.evidence.cite(found.cited, alert.signatures[0], proven=verified)
                if self._limiter is None:
                    alerts.append(alert)
                else:
                    alerts += self._limiter.offer(self.matcher.signatures[key[0]].iri, alert)
        return alerts

    def _alert(self, key: _Key, found: _Matches, protocol: int, verified: bool) -> Alert:
        number, source, target, port = key
        signature = self.matcher.signatures[number]
        confidence = signature.confidence
        if target in self._honeypots:
            confidence = at_honeypot(confidence)
        name = f"{signature.iri} {source} {target} {port} {found.begin_us}"
        if verified:
            name += " verified"
        where = "" if port is None else f" port {port}"
        proof = "acknowledged in a proven conversation" if verified else "source not verified"
        about = "".join(
            f"; {word} {', '.join(names[:4])}"
            for word, names in (
                ("names", signature.cves),
                ("affects", signature.services),
                ("on", signature.systems),
            )
            if names
        )
        return Alert(
            id=f"urn:uuid:{uuid.uuid5(_NAMESPACE, name)}",
            classification=signature.attack_class or "HoneypotContact",
            source=source,
            target=target,
            target_port=port,
            protocol=protocol,
            begin_us=found.begin_us,
            end_us=found.end_us,
            count=max(len(found.flows), 1),
            confidence=confidence,
            verified_source=verified,
            sensor=self._sensor,
            analyzer=self._sensor,
            explanation=(
                f"signature {signature.gid}:{signature.sid} revision {signature.revision} "
                f"{signature.message!r} ({signature.classtype}{about}) matched "
                f"{found.packets} packets to {target}{where}, {proof}"
            ),
            signatures=(signature.iri,),
            cves=signature.cves[:MAX_SAMPLE],
            affected_services=signature.services,
            affected_systems=signature.systems,
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
