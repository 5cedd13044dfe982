"""Signatures matched on packets: thousands of rules, one pass of a multi-pattern search.

1. Hyperscan looks through each payload for one string (the *lead*) of each rule that the packet's
   ports allow: at most three databases, those of the target's port, of the source's port, and of
   the rules for any port.
2. The headers of the packets where a lead stood are tested in columns, a rule at a time.
3. What is left is tested packet by packet (`agents.sensor.signatures.payload_tests`).

Rules without a string have an expression as lead, or none: then the headers choose. Packets are
looked at one by one, so a string that is cut in two by segmentation is missed; fragments are not
put together, and TLS hides everything. Payloads are hostile: each lead is reported at most once a
packet, expressions are matched in linear time, and each rule has a budget of steps per packet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import RST, SYN, TCP, Packets
from agents.sensor.payloads.reading_shares import named
from agents.sensor.signatures.applications import NAMES
from agents.sensor.signatures.directions import Flows, FlowStates
from agents.sensor.signatures.header_masks import Header, Place, Sets
from agents.sensor.signatures.http_buffers import METHODS
from agents.sensor.signatures.leads import Lead, compile_leads, leads_of
from agents.sensor.signatures.message_buffers import Payload
from agents.sensor.signatures.payload_tests import BudgetSpent, PayloadTest
from agents.sensor.signatures.rule_effects import RuleEffects
from rules.signatures.parse import Signature

Ints = NDArray[np.int64]
_ENCODED = b"\ncontent-encoding:", b"\ntransfer-encoding:"
_HEAD = 4_096
"""Bytes of a message in which `_ENCODED` is looked for."""
SHARED_STEPS = 15
"""Of `PayloadTest`, for each packet of a block; together they are what all its sources share."""
BLOCK_STEPS = 20_000
"""Besides, so that one payload among a few may take all that it asks for."""
_Scan = Callable[..., None]


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """What matched in one block, in order of (packet, signature)."""

    packet: Ints
    """Positions in `Packets`."""
    signature: Ints
    """Positions in `SignatureMatcher.signatures`."""
    flows: Flows

    def __len__(self) -> int:
        return len(self.packet)


class SignatureMatcher:
    """The enabled, executable ones of the given signatures, ready to match.

    Args:
        variables: what ``$HOME_NET`` and the others stand for, besides and before
            `signature_headers.VARIABLES`.
        multi_pattern: without it every rule is tried on every packet whose headers agree: slow and
            plain, for comparison.
        midstream: connections whose handshake wasn't seen count as established.
        shared: live, each source in a block gets the same number of steps (`SHARED_STEPS`); else
            all is tested, however long it takes.
    """

    def __init__(
        self,
        signatures: Sequence[Signature],
        variables: Mapping[str, str] | None = None,
        *,
        multi_pattern: bool = True,
        midstream: bool = False,
        shared: bool = False,
    ) -> None:
        self.left_out: list[tuple[Signature, str]] = []
        """Enabled signatures that are not in use, each with the reason."""
        self.refused: Counter[str] = Counter()
        """Signatures left out, by reason."""
        self.counters: Counter[str] = Counter()
        """Totals: packets, scanned, candidates (rule and packet), matches, budget-spent,
        thinned: candidates not tested, because their source had had its share; midstream: packets
        with data that rules for established connections did not get; what `RuleEffects` counts."""
        self._shared = shared
        kept: list[Signature] = []
        self._headers: list[Header] = []
        self._tests: list[PayloadTest | None] = []
        leads: dict[Lead, int] = {}
        rules: dict[tuple[int, ...], list[int]] = {}
        places: dict[Place, set[int]] = {}
        self._without_lead: list[int] = []
        sets = Sets(variables)
        for signature in signatures:
            if not signature.enabled:
                self.refused["disabled"] += 1
                continue
            try:
                if not signature.executable:
                    raise ValueError("; ".join(signature.unsupported))
                header = _header(signature, sets)
            except ValueError as e:
                self.refused[str(e)] += 1
                self.left_out.append((signature, str(e)))
                continue
            number = len(kept)
            kept.append(signature)
            self._headers.append(header)
            application = signature.header.application
            needs = bool(signature.checks) or application == "http"
            test = PayloadTest(signature.checks, application=application) if needs else None
            self._tests.append(test)
            wanted = leads_of(signature) if multi_pattern else ()
            if not wanted:
                self._without_lead.append(number)
                continue
            numbers = tuple(leads.setdefault(lead, len(leads)) for lead in wanted)
            rules.setdefault(numbers, []).append(number)
            for place in header.places():
                places.setdefault(place, set()).update(numbers)
        self.signatures = tuple(kept)
        self._flows = FlowStates(midstream=midstream)
        self._effects = RuleEffects(kept)
        self._apart = FlowStates(midstream=midstream)
        self._rules_of_lead: dict[int, list[tuple[tuple[int, ...], list[int]]]] = {}
        """By the first lead: all leads that have to stand in the packet, and the rules."""
        for numbers, some in rules.items():
            self._rules_of_lead.setdefault(numbers[0], []).append((numbers, some))
        self._scanners = _Scanners(list(leads), places)

    def confirmed(self, key: bytes) -> bool:
        """See `FlowStates.confirmed`; keys are in `Matches.flows`. Of those not kept apart."""
        return self._flows.confirmed(key)

    def adopt(self, other: SignatureMatcher) -> None:
        """Take over what ``other`` knows of connections: rules change, connections go on."""
        self._flows, self._apart = other._flows, other._apart
        self._effects.adopt(other._effects)

    def match(self, packets: Packets, *, apart: bool = False) -> Matches:
        """Match a block of packets; blocks come in order of capture. ``apart``: their connections
        are not those of other packets, whatever their addresses."""
        flows = (self._apart if apart else self._flows).look_up(packets)
        self.counters["packets"] += len(packets)
        found: list[tuple[int, int]] = []
        if len(packets):
            payloads = _Payloads(packets, flows, shared=self._shared)
            hit_packets, hit_leads = self._scan(packets, payloads)
            order = np.argsort(hit_leads, kind="stable")
            hit_packets, hit_leads = hit_packets[order], hit_leads[order]
            if not self._without_lead:
                payloads.share_out(np.unique(hit_packets))
            else:
                payloads.share_out(np.arange(len(packets)))
            leads, starts = np.unique(hit_leads, return_index=True)
            ends = np.append(starts, len(hit_leads))[1:]
            hit = {
                # A packet comes twice when its request target had to be decoded.
                lead: np.unique(hit_packets[begin:end])
                for lead, begin, end in zip(leads.tolist(), starts, ends, strict=True)
            }
            for lead in hit:
                for wanted, rules in self._rules_of_lead.get(lead, ()):
                    some = _all_of(wanted, hit)
                    for rule in rules if len(some) else ():
                        self._test(rule, packets, flows, some, payloads, found)
            everything = np.arange(len(packets))
            for rule in self._without_lead:
                self._test(rule, packets, flows, everything, payloads, found)
        found = self._effects.apply(found, packets, flows)
        self.counters.update(self._effects.counters)
        self._effects.counters.clear()
        self.counters["matches"] += len(found)
        for followed in (self._flows, self._apart):
            self.counters["midstream"] += followed.cut_off
            followed.cut_off = 0
        both = np.array(found, np.int64).reshape(len(found), 2)
        return Matches(both[:, 0], both[:, 1], flows)

    def _scan(self, packets: Packets, payloads: _Payloads) -> tuple[Ints, Ints]:
        """(packets, leads) that the multi-pattern search found."""
        hit_packets: list[int] = []
        hit_leads: list[int] = []

        def on_match(lead: int, _begin: int, _end: int, _flags: int, packet: int) -> None:
            hit_packets.append(packet)
            hit_leads.append(lead)

        block = payloads.block
        some = np.flatnonzero(packets.payload_length > 0)
        groups, chains = self._scanners.choose(packets, some)
        begins = packets.payload_offset[some]
        ends = (begins + packets.payload_length[some]).tolist()
        for packet, begin, end, group in zip(
            some.tolist(), begins.tolist(), ends, groups.tolist(), strict=True
        ):
            data = block[begin:end]
            chain = chains[group]
            for scan in chain:
                scan(data, match_event_handler=on_match, context=packet)
            if chain and (data[:4] in METHODS or data[:5] == b"HTTP/"):
                for text in payloads.meant(packet, data):
                    for scan in chain:
                        scan(text, match_event_handler=on_match, context=packet)
        self.counters["scanned"] += len(some)
        return np.array(hit_packets, np.int64), np.array(hit_leads, np.int64)

    def _test(
        self,
        rule: int,
        packets: Packets,
        flows: Flows,
        some: Ints,
        payloads: _Payloads,
        found: list[tuple[int, int]],
    ) -> None:
        some = self._headers[rule].narrow(packets, flows, some)
        if not len(some):
            return
        test = self._tests[rule]
        if test is None:
            found.extend((packet, rule) for packet in some.tolist())
            return
        self.counters["candidates"] += len(some)
        thinned = 0
        for packet in some.tolist():
            if payloads.spent(packet):
                thinned += 1
                continue
            try:
                if test(payloads[packet]):
                    found.append((packet, rule))
            except BudgetSpent:
                self.counters["budget-spent"] += 1
        self.counters["thinned"] += thinned


class _Scanners:
    """Databases by place (transport and port), and which of them a packet has to pass."""

    def __init__(self, leads: list[Lead], places: Mapping[Place, set[int]]) -> None:
        made: dict[tuple[int, ...], _Scan] = {}
        self._of_place: dict[Place, _Scan] = {}
        ports = {"source": np.zeros(65_536, np.bool_), "target": np.zeros(65_536, np.bool_)}
        for place, wanted in places.items():
            key = tuple(sorted(wanted))
            if key not in made:
                # The ports of one variable share their rules, and so their database.
                made[key] = compile_leads([leads[number] for number in key], key).scan
            self._of_place[place] = made[key]
            if place[1]:
                ports[place[1]][place[2]] = True
        self._source, self._target = ports["source"], ports["target"]

    def choose(self, packets: Packets, some: Ints) -> tuple[Ints, list[tuple[_Scan, ...]]]:
        """For each packet of ``some`` the number of a chain, and the chains."""
        transport = packets.protocol[some].astype(np.int64)
        source = packets.src_port[some].astype(np.int64)
        target = packets.dst_port[some].astype(np.int64)
        ported = np.isin(transport, (6, 17))
        source = np.where(ported & self._source[source], source + 1, 0)
        target = np.where(ported & self._target[target], target + 1, 0)
        words = transport << 40 | source << 20 | target
        unique, groups = np.unique(words, return_inverse=True)
        chains = []
        for word in unique.tolist():
            number, begin, end = word >> 40, (word >> 20) & 0xFFFFF, word & 0xFFFFF
            number = 1 if number == 58 else number
            wanted: list[Place] = [(-1, "", 0), (number, "", 0)]
            if begin:
                wanted += [(number, "source", begin - 1), (-1, "source", begin - 1)]
            if end:
                wanted += [(number, "target", end - 1), (-1, "target", end - 1)]
            found = (self._of_place.get(place) for place in wanted)
            chains.append(tuple(dict.fromkeys(scan for scan in found if scan is not None)))
        return groups, chains


class _Payloads:
    """Payloads of a block, made when asked for."""

    def __init__(self, packets: Packets, flows: Flows, *, shared: bool) -> None:
        """``shared``: sources share the block's steps; else steps have no end."""
        self.block = packets.data.tobytes()
        self._packets = packets
        self._flows = flows
        self._shared = shared
        self._made: dict[int, Payload] = {}
        self._pools: dict[int, list[int]] = {}

    def share_out(self, which: Ints) -> None:
        """Give the sources of packets ``which`` equal shares."""
        if not self._shared or not len(which):
            return
        packets = self._packets
        # Whose a conversation is, be a packet of it sent or caused by him.
        own = self._flows.to_server[which, None]
        ends = np.where(own, packets.src[which], packets.dst[which])
        numbers = named(ends)
        count = int(numbers.max()) + 1
        steps = BLOCK_STEPS + SHARED_STEPS * len(packets)
        pools = [[steps // count] for _ in range(count)]
        for packet, number in zip(which.tolist(), numbers.tolist(), strict=True):
            self._pools[packet] = pools[number]
            if packet in self._made:
                self._made[packet].pool = pools[number]

    def spent(self, packet: int) -> bool:
        """Whether the packet's source has had its share."""
        pool = self._pools.get(packet)
        return pool is not None and pool[0] <= 0

    def __getitem__(self, packet: int) -> Payload:
        payload = self._made.get(packet)
        if payload is None:
            begin = int(self._packets.payload_offset[packet])
            end = begin + int(self._packets.payload_length[packet])
            payload = Payload(
                self.block[begin:end],
                self._pools.get(packet),
                application=NAMES[self._flows.application[packet]],
                to_server=bool(self._flows.to_server[packet]),
                spoken=not self._packets.flags[packet] & (SYN | RST),
                tcp=self._packets.protocol[packet] == TCP,
            )
            self._made[packet] = payload
        return payload

    def meant(self, packet: int, data: bytes) -> list[bytes]:
        """What an HTTP message means where it is written otherwise: target and body decoded."""
        wanted = []
        if b"%" in data and data[:5] != b"HTTP/":
            wanted.append("http.uri")
        head = data[:_HEAD].lower()
        if any(name in head for name in _ENCODED):
            wanted.append("http.response_body" if data[:5] == b"HTTP/" else "http.request_body")
        found = (self[packet].buffer(name) for name in wanted)
        return [text for text in found if text]


def _all_of(wanted: tuple[int, ...], hit: Mapping[int, Ints]) -> Ints:
    """Packets in which all of the leads stand."""
    some = hit[wanted[0]]
    for lead in wanted[1:]:
        if lead not in hit:
            return some[:0]
        some = np.intersect1d(some, hit[lead], assume_unique=True)
    return some


def _header(signature: Signature, sets: Sets) -> Header:
    """Raises: ValueError."""
    try:
        return Header(signature, sets)
    except ValueError as e:
        raise ValueError(f"header ({e})") from e
