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
from typing import Any

import hyperscan
import numpy as np
from numpy.typing import NDArray

from agents.sensor.flows.packets import ARP, Packets
from agents.sensor.payloads.reading_shares import named
from agents.sensor.signatures.directions import Flows, FlowStates
from agents.sensor.signatures.header_masks import Header, Place, Sets
from agents.sensor.signatures.payload_tests import (
    METHODS,
    BudgetSpent,
    Payload,
    PayloadTest,
)
from rules.signatures.parse import Signature
from rules.signatures.payload_options import PAYLOAD, Content, Expression

Ints = NDArray[np.int64]
_FLAGS = hyperscan.HS_FLAG_SINGLEMATCH
_MAX_OFFSET = 65_535
_LONGEST = 64
"""Bytes of a content that the multi-pattern search compares; the rest is tested afterwards."""
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


@dataclass(frozen=True, slots=True)
class _Lead:
    """What the multi-pattern search looks for."""

    expression: bytes
    flags: int
    first: int = 0
    """Not before this byte of the payload."""
    last: int = _MAX_OFFSET
    """Ends not behind this byte."""


class SignatureMatcher:
    """The enabled, executable ones of the given signatures, ready to match.

    Args:
        variables: what ``$HOME_NET`` and the others stand for, besides and before
            `signature_headers.VARIABLES`.
        multi_pattern: without it every rule is tried on every packet whose headers agree: slow and
            plain, for comparison.
        shared: live, each source in a block gets the same number of steps (`SHARED_STEPS`); else
            all is tested, however long it takes.
    """

    def __init__(
        self,
        signatures: Sequence[Signature],
        variables: Mapping[str, str] | None = None,
        *,
        multi_pattern: bool = True,
        shared: bool = False,
    ) -> None:
        self.refused: Counter[str] = Counter()
        """Signatures left out, by reason."""
        self.counters: Counter[str] = Counter()
        """Totals: packets, scanned, candidates (rule and packet), matches, budget-spent, and
        thinned: candidates not tested, because their source had had its share."""
        self._shared = shared
        kept: list[Signature] = []
        self._headers: list[Header] = []
        self._tests: list[PayloadTest | None] = []
        leads: dict[_Lead, list[int]] = {}
        places: dict[Place, set[_Lead]] = {}
        self._without_lead: list[int] = []
        sets = Sets(variables)
        for signature in signatures:
            if not signature.enabled:
                self.refused["disabled"] += 1
                continue
            if not signature.executable:
                self.refused["unsupported options"] += 1
                continue
            try:
                header = Header(signature, sets)
            except ValueError as e:
                self.refused[f"header ({e})"] += 1
                continue
            number = len(kept)
            kept.append(signature)
            self._headers.append(header)
            http = signature.header.http
            needs = bool(signature.checks) or http
            self._tests.append(PayloadTest(signature.checks, http=http) if needs else None)
            lead = _lead(signature) if multi_pattern else None
            if lead is None:
                self._without_lead.append(number)
            else:
                leads.setdefault(lead, []).append(number)
                for place in header.places():
                    places.setdefault(place, set()).add(lead)
        self.signatures = tuple(kept)
        self._flows = FlowStates()
        self._rules_of_lead = list(leads.values())
        self._scanners = _Scanners(list(leads), places)

    def confirmed(self, key: bytes) -> bool:
        """See `FlowStates.confirmed`; keys are in `Matches.flows`."""
        return self._flows.confirmed(key)

    def adopt(self, other: SignatureMatcher) -> None:
        """Take over what ``other`` knows of connections: rules change, connections go on."""
        self._flows = other._flows

    def match(self, packets: Packets) -> Matches:
        """Match a block of packets; blocks come in order of capture."""
        flows = self._flows.look_up(packets)
        self.counters["packets"] += len(packets)
        found: list[tuple[int, int]] = []
        if len(packets):
            payloads = _Payloads(packets, flows if self._shared else None)
            hit_packets, hit_leads = self._scan(packets, payloads)
            order = np.argsort(hit_leads, kind="stable")
            hit_packets, hit_leads = hit_packets[order], hit_leads[order]
            if not self._without_lead:
                payloads.share_out(np.unique(hit_packets))
            else:
                payloads.share_out(np.arange(len(packets)))
            leads, starts = np.unique(hit_leads, return_index=True)
            ends = np.append(starts, len(hit_leads))[1:]
            for lead, begin, end in zip(leads.tolist(), starts, ends, strict=True):
                # A packet comes twice when its request target had to be decoded.
                some = np.unique(hit_packets[begin:end])
                for rule in self._rules_of_lead[lead]:
                    self._test(rule, packets, flows, some, payloads, found)
            # ARP has an invented protocol number, and is not IP.
            everything = np.flatnonzero(packets.protocol != ARP)
            for rule in self._without_lead:
                self._test(rule, packets, flows, everything, payloads, found)
        found.sort()
        self.counters["matches"] += len(found)
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
            if data[:4] in METHODS and b"%" in data:
                # Rules look for what the request means, not for how it is written.
                uri = payloads[packet].buffer("uri")
                if uri:
                    for scan in chain:
                        scan(uri, match_event_handler=on_match, context=packet)
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

    def __init__(self, leads: list[_Lead], places: Mapping[Place, set[_Lead]]) -> None:
        numbers = {lead: number for number, lead in enumerate(leads)}
        made: dict[tuple[int, ...], _Scan] = {}
        self._of_place: dict[Place, _Scan] = {}
        ports = {"source": np.zeros(65_536, np.bool_), "target": np.zeros(65_536, np.bool_)}
        for place, wanted in places.items():
            key = tuple(sorted(numbers[lead] for lead in wanted))
            if key not in made:
                # The ports of one variable share their rules, and so their database.
                made[key] = _compile([leads[number] for number in key], key).scan
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

    def __init__(self, packets: Packets, flows: Flows | None) -> None:
        """``flows``: the sources of these share the block's steps; None: steps have no end."""
        self.block = packets.data.tobytes()
        self._packets = packets
        self._flows = flows
        self._made: dict[int, Payload] = {}
        self._pools: dict[int, list[int]] = {}

    def share_out(self, which: Ints) -> None:
        """Give the sources of packets ``which`` equal shares."""
        if self._flows is None or not len(which):
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
            payload = Payload(self.block[begin:end], self._pools.get(packet))
            self._made[packet] = payload
        return payload


def _lead(signature: Signature) -> _Lead | None:
    """The content that the author marked, else the longest; else an expression; else nothing."""
    contents = [c for c in signature.checks if isinstance(c, Content) and not c.negated]
    if contents:
        chosen = max(contents, key=lambda c: (c.fast, len(c.pattern)))
        first, last = 0, _MAX_OFFSET
        if chosen.buffer == PAYLOAD and not chosen.relative:
            first = max(chosen.offset or 0, 0)
            if chosen.depth is not None:
                last = min(first + chosen.depth, _MAX_OFFSET)
        pattern = chosen.pattern[:_LONGEST]
        if last < first + len(pattern):
            # The window is too small for the content: it never matches, and is no expression.
            first, last = 0, _MAX_OFFSET
        literal = b"".join(b"\\x%02x" % byte for byte in pattern)
        return _Lead(literal, _FLAGS | hyperscan.HS_FLAG_CASELESS, first, last)
    for check in signature.checks:
        if not isinstance(check, Expression) or check.negated or check.relative:
            continue
        if check.buffer != PAYLOAD:
            continue
        lead = _Lead(
            check.pattern,
            _FLAGS
            | hyperscan.HS_FLAG_PREFILTER
            | hyperscan.HS_FLAG_ALLOWEMPTY
            | hyperscan.HS_FLAG_CASELESS * check.caseless
            | hyperscan.HS_FLAG_DOTALL * check.dotall
            | hyperscan.HS_FLAG_MULTILINE * check.multiline,
        )
        try:
            _compile([lead])
        except hyperscan.error:
            # RE2 knows it and Hyperscan does not: the headers choose.
            continue
        return lead
    return None


def _compile(leads: list[_Lead], ids: Sequence[int] = (0,)) -> hyperscan.Database:
    """``ids``: what is reported for each. Raises: hyperscan.error for an unknown expression."""
    untyped: Any = hyperscan  # its stubs leave ExpressionExt out
    extended = []
    for lead in leads:
        bits = 0
        if lead.first:
            bits |= hyperscan.HS_EXT_FLAG_MIN_OFFSET
        if lead.last < _MAX_OFFSET:
            bits |= hyperscan.HS_EXT_FLAG_MAX_OFFSET
        extended.append(untyped.ExpressionExt(bits, lead.first, lead.last, 0, 0, 0))
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[lead.expression for lead in leads],
        ids=list(ids),
        elements=len(leads),
        flags=[lead.flags for lead in leads],
        ext=extended,
    )
    return database
