"""What matches do to each other: bits remembered and asked for, rates, rules that silence others.

Comes last, in the order of the packets, on what matched otherwise. Within one packet rules that
silence come first, then those that only set bits, then those that ask for them, as in Suricata.

Rates are conditions, not a means to have less to read: ``threshold``, ``both`` and
``detection_filter`` begin to match when there was enough in the time, and go on until it is over;
``limit`` always matches. Repeats become one alert afterwards, and a forged match can't use up what
a real one needs. All tables are bounded, the oldest entry is forgotten first and counted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence

from agents.sensor.flows.packets import Packets
from agents.sensor.signatures.directions import Flows
from rules.signatures.buffers import PAYLOAD
from rules.signatures.parse import Signature
from rules.signatures.state_options import Bit, Rate

MAX_FLOWS = 65_536
MAX_ADDRESSES = 65_536
MAX_RATES = 65_536
_PASSED = ""
"""The bit of a flow that is to be left alone; no rule can name it."""

_Name = tuple[int, int]
"""Of a signature: gid, sid."""


class RuleEffects:
    """For the rules of one `SignatureMatcher`, by their number there."""

    def __init__(self, signatures: Sequence[Signature]) -> None:
        self._rules = {
            number: signature
            for number, signature in enumerate(signatures)
            if signature.effects or signature.silences
        }
        self._rank = {number: _rank(signature) for number, signature in self._rules.items()}
        self._flows: OrderedDict[bytes, set[str]] = OrderedDict()
        self._addresses: OrderedDict[tuple[str, bytes], int] = OrderedDict()
        """(name of the bit, whose) and until when it is set, in µs."""
        self._rates: OrderedDict[tuple[_Name, int, bytes], tuple[int, int]] = OrderedDict()
        """(rule, which of its rates, whose), since when, and how many since."""
        self.counters: Counter[str] = Counter()
        """silenced: matches that a pass rule took away; forgotten: entries beyond the bounds."""

    def adopt(self, other: RuleEffects) -> None:
        """Take over what is remembered: rules change, connections go on."""
        self._flows, self._addresses = other._flows, other._addresses
        self._rates = other._rates

    def apply(
        self, found: list[tuple[int, int]], packets: Packets, flows: Flows
    ) -> list[tuple[int, int]]:
        """Those of the matches (packet, rule) that are to be told, sorted."""
        if not self._rules:
            found.sort()
            return found
        found.sort(key=lambda match: (match[0], self._rank.get(match[1], _PLAIN), match[1]))
        restarted = iter([*flows.restarted, (len(packets), -1)])
        restart = next(restarted)
        out: list[tuple[int, int]] = []
        passed = -1
        for packet, number in found:
            while restart[0] <= packet:
                self._flows.pop(flows.keys[restart[1]], None)
                restart = next(restarted)
            key = flows.keys[int(flows.group[packet])]
            if passed == packet or _PASSED in self._flows.get(key, ()):
                self.counters["silenced"] += 1
                continue
            rule = self._rules.get(number)
            if rule is None:
                out.append((packet, number))
                continue
            if not self._holds(rule, packet, packets, key):
                continue
            if rule.silences:
                passed = packet
                if _passes_all(rule):
                    self._flow(key).add(_PASSED)
            elif not rule.effects.silent:
                out.append((packet, number))
        while restart[1] >= 0:
            self._flows.pop(flows.keys[restart[1]], None)
            restart = next(restarted)
        self._shrink()
        out.sort()
        return out

    def _holds(self, rule: Signature, packet: int, packets: Packets, key: bytes) -> bool:
        now_us = int(packets.time_us[packet])
        bits = rule.effects.bits
        if not all(self._asked(bit, packet, packets, key, now_us) for bit in bits if bit.asks):
            return False
        for bit in bits:
            if not bit.asks:
                self._change(bit, packet, packets, key, now_us)
        enough = True
        for which, rate in enumerate(rule.effects.rates):
            whose = _whose(rate.track, packet, packets)
            enough &= self._enough((rule.gid, rule.sid), which, rate, whose, now_us)
        return enough

    def _asked(self, bit: Bit, packet: int, packets: Packets, key: bytes, now_us: int) -> bool:
        if bit.track == "flow":
            known = self._flows.get(key, ())
            there = any(name in known for name in bit.names)
        else:
            whose = _whose(bit.track, packet, packets)
            there = any(self._addresses.get((n, whose), -1) > now_us for n in bit.names)
        return there == (bit.command == "isset")

    def _change(self, bit: Bit, packet: int, packets: Packets, key: bytes, now_us: int) -> None:
        name = bit.names[0]
        if bit.track != "flow":
            entry = name, _whose(bit.track, packet, packets)
            self._addresses.pop(entry, None)
            if bit.command == "set":
                self._addresses[entry] = now_us + bit.expire_us
            return
        known = self._flow(key)
        if bit.command == "set" or (bit.command == "toggle" and name not in known):
            known.add(name)
        else:
            known.discard(name)

    def _flow(self, key: bytes) -> set[str]:
        known = self._flows.pop(key, None)
        self._flows[key] = known = set() if known is None else known
        return known

    def _enough(self, rule: _Name, which: int, rate: Rate, whose: bytes, now_us: int) -> bool:
        if rate.kind == "limit":
            return True
        entry = rule, which, whose
        since, count = self._rates.pop(entry, (now_us, 0))
        if now_us - since >= rate.within_us:
            since, count = now_us, 0
        self._rates[entry] = since, count + 1
        return count + 1 > rate.count - (rate.kind != "detection_filter")

    def _shrink(self) -> None:
        tables: tuple[tuple[OrderedDict[object, object], int], ...] = (
            (self._flows, MAX_FLOWS),  # type: ignore[assignment]
            (self._addresses, MAX_ADDRESSES),
            (self._rates, MAX_RATES),
        )
        for table, most in tables:
            while len(table) > most:
                table.popitem(last=False)
                self.counters["forgotten"] += 1


_PLAIN = 2


def _rank(rule: Signature) -> int:
    """Of a rule within one packet: silencing, then setting, then all that neither sets nor asks."""
    if rule.silences:
        return 0
    asks = any(bit.asks for bit in rule.effects.bits)
    sets = any(not bit.asks for bit in rule.effects.bits)
    if sets:
        return 2 if asks else 1
    return 3 if asks else _PLAIN


def _passes_all(rule: Signature) -> bool:
    """The whole conversation is meant, not this packet: the rule names addresses or a protocol, or
    a part of a message, and no ports, payloads or headers of single packets."""
    if any(check.buffer != PAYLOAD for check in rule.checks) or rule.header.application:
        return True
    test = rule.header
    single = (test.flags, test.payload_bytes, test.icmp_type, test.icmp_code, test.icmp_id)
    ports = rule.source_ports, rule.target_ports
    return not rule.checks and single == (None,) * 5 and set(ports) == {"any"}


def _whose(track: str, packet: int, packets: Packets) -> bytes:
    source: bytes = packets.src[packet].tobytes()
    target: bytes = packets.dst[packet].tobytes()
    if track == "pair":
        return min(source, target) + max(source, target)
    return {"src": source, "dst": target}.get(track, b"")
