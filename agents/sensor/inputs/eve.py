"""Suricata's ``eve.json``: alerts by signature and category, flows as connections.

Format: Suricata user guide, "EVE JSON format". ``netflow`` events count where there is no ``flow``.
Other event types repeat what flows and alerts say and give nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from agents.sensor.inputs.classes import shipped
from agents.sensor.inputs.eve_signatures import SignatureNames, packet_of
from agents.sensor.inputs.events import (
    MAX_COUNT,
    STATE,
    TCP,
    UDP,
    UNRELATED,
    Claim,
    Host,
    LineRefused,
    Options,
    Sighting,
    host,
    iso_us,
    pack_row,
    port,
    protocol,
    tcp_state,
    whole,
)
from agents.sensor.inputs.netflow_pairs import NetflowPairs
from agents.sensor.inputs.relays import Relays, forwarded_for, said
from agents.sensor.inputs.wrappers import event_object

_HEADERS = {TCP: 54, UDP: 42}
"""Ethernet, IPv4 and TCP or UDP without options: flows count whole frames, records payload."""
_APPLICATIONS = ("http", "tls", "ssh", "smtp", "ftp")


class EveParser:
    """``alert``, ``flow`` and ``netflow`` events; kept is which flows relays carry (`Relays`), and
    what waits for its other half (`NetflowPairs`)."""

    kind: ClassVar[str] = "eve"
    now_us = 0

    def __init__(self, options: Options) -> None:
        self._options = options
        self._classes = shipped()
        self._relays = Relays()
        self._names = SignatureNames()
        self._netflow = NetflowPairs()

    def memory(self) -> str:
        relays, netflow = self._relays.memory(), self._netflow.memory()
        return json.dumps([relays, netflow]) if relays or netflow else ""

    def remember(self, memory: str) -> None:
        """Raises: ValueError."""
        if not memory:
            return
        relays, netflow = json.loads(memory)
        self._relays.remember(relays)
        self._netflow.remember(netflow)

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        event = event_object(line, "event_type")
        match event.get("event_type"):
            case "alert":
                return self._alert(event)
            case "flow":
                self._netflow.told = True
                return self._flow(event)
            case "netflow":
                return [seen for flow in self._netflow.add(event) for seen in self._flow(flow)]
            case "http":
                if forwarded_for(event) is not None:
                    self._claimed(event, _opener(event))
                return ()
            case str():
                return ()
            case None:
                return UNRELATED
        raise LineRefused("shape")

    def _claimed(self, event: dict[str, Any], opener: Host | None) -> str | None:
        """In whose name ``opener`` asked, if he is a relay; empty: he does not say; None: no relay,
        as far as is known."""
        claimed = forwarded_for(event)
        if opener is None or (claimed is None and not self._relays):
            return claimed
        ends = [(event.get(f"{end}_ip"), event.get(f"{end}_port")) for end in ("src", "dest")]
        service = ends[1] if host(ends[0][0]) == opener else ends[0]
        return self._relays.judge(str(opener.value), service, event.get("flow_id"), claimed)

    def _alert(self, event: dict[str, Any]) -> Iterable[Sighting]:
        alert = event.get("alert")
        if not isinstance(alert, dict):
            raise LineRefused("shape")
        message, category = alert.get("signature"), alert.get("category")
        if not isinstance(message, str) or not isinstance(category, str):
            raise LineRefused("shape")
        at_us = iso_us(event.get("timestamp"), self._options.timezone)
        source, target = host(event.get("src_ip")), host(event.get("dest_ip"))
        number = protocol(event.get("proto"))
        ports = port(event.get("src_port")), port(event.get("dest_port"))
        meaning = self._classes.alert(message, category)
        swapped = meaning is not None and meaning.swapped
        attacker = alert.get("source")
        if isinstance(attacker, dict) and "ip" in attacker:
            # The rule's own "target" keyword settles who is who.
            swapped = host(attacker["ip"]) != source
        if swapped:
            source, target, ports = target, source, ports[::-1]
        at_honeypot = target.value in self._options.honeypots
        if meaning is None:
            name, confidence = None, 0.4 if at_honeypot else 0.0
        else:
            name = meaning.classification
            confidence = meaning.at_honeypot if at_honeypot else meaning.confidence
        if name is None:
            if not confidence:
                return ()
            name = "HoneypotContact"
        named, words = self._names.of(alert, message, category, event.get("app_proto"))
        opener = _opener(event)
        verified = number == TCP and source == opener and _established(event)
        claimed = self._claimed(event, opener)
        if claimed is not None and (opener is None or source == opener):
            verified = False
            words += f"; {said(source.value, claimed)}"
        return (
            Claim(
                name,
                source,
                target,
                ports[1] or None if number in _HEADERS else None,
                number,
                at_us,
                confidence,
                verified,
                words,
                severity=_severity(alert.get("severity")),
                named=named,
                packet=packet_of(event, *ports) if "packet" in event else None,
            ),
        )

    def _flow(self, event: dict[str, Any]) -> Iterable[Sighting]:
        flow = event.get("flow")
        if not isinstance(flow, dict):
            raise LineRefused("shape")
        zone = self._options.timezone
        start, end = iso_us(flow.get("start"), zone), iso_us(flow.get("end"), zone)
        number = protocol(event.get("proto"))
        packets = (
            whole(flow.get("pkts_toserver"), MAX_COUNT),
            whole(flow.get("pkts_toclient"), MAX_COUNT),
        )
        frames = (
            whole(flow.get("bytes_toserver"), 1 << 62),
            whole(flow.get("bytes_toclient"), 1 << 62),
        )
        header = _HEADERS.get(number, 34)
        size = max(frames[0] - header * packets[0], 0), max(frames[1] - header * packets[1], 0)
        flags = (0, 0)
        if number == TCP:
            tcp = event.get("tcp")
            if not isinstance(tcp, dict):
                raise LineRefused("shape")
            flags = _flags(tcp.get("tcp_flags_ts")), _flags(tcp.get("tcp_flags_tc"))
            state = tcp_state(*flags)
            ports = port(event.get("src_port")), port(event.get("dest_port"))
        else:
            state = STATE["SF" if packets[1] else "OTH"]
            ports = (
                (port(event.get("src_port")), port(event.get("dest_port")))
                if number == UDP
                else (
                    whole(event.get("icmp_type", 0), 255),
                    whole(event.get("icmp_code", 0), 255),
                )
            )
        source, target = host(event.get("src_ip")), host(event.get("dest_ip"))
        claimed = self._claimed(event, source)
        if claimed is not None:
            # As a connection it would count, completed, against the relay. Whose it was is not
            # known; that there was one matters at a honeypot alone.
            if target.value not in self._options.honeypots:
                return ()
            words = f"Suricata flow; {said(source.value, claimed)}"
            place = (source, target, ports[1] or None, number, start)
            return (Claim("HoneypotContact", *place, 0.4, False, words),)
        return (
            pack_row(
                at_us=start,
                duration_us=max(end - start, 0),
                source=source,
                target=target,
                protocol=number,
                state=state,
                ports=ports,
                flags=flags,
                packets=packets,
                size=size,
            ),
        )


def _severity(value: object) -> float | None:
    """Suricata's 1 is the worst; `classification.config` goes to 4, and rules may go on to 255."""
    if type(value) is not int or not 1 <= value <= 255:
        return None
    return max(1.25 - 0.25 * value, 0.0)


def _flags(value: object) -> int:
    """Two hexadecimal digits; the two ECN bits are none of ours."""
    if not isinstance(value, str) or len(value) > 4:
        raise LineRefused("flags")
    try:
        return int(value, 16) & 63
    except ValueError:
        raise LineRefused("flags") from None


def _opener(event: dict[str, Any]) -> Host | None:
    """Who opened the conversation; None if that is not sure.

    Only he came by himself. Whoever was called may be anybody: own hosts can be made to call, and
    what the called one then sends is not all his own (a file that a stranger put there).
    """
    flow = event.get("flow")
    if isinstance(flow, dict) and "src_ip" in flow:
        return host(flow["src_ip"])
    source, target = host(event.get("src_ip")), host(event.get("dest_ip"))
    way = event.get("direction")
    if way in ("to_server", "to_client"):
        return source if way == "to_server" else target
    # Suricata before 7 says neither: the lower port is the server's, as a rule.
    ports = port(event.get("src_port")), port(event.get("dest_port"))
    if ports[0] == ports[1]:
        return None
    return source if ports[0] > ports[1] else target


def _established(event: dict[str, Any]) -> bool:
    """Suricata looked at reassembled data, which it does only after the whole handshake
    (``stream.midstream`` is off by default): an off-path attacker can't forge that."""
    return event.get("stream") == 1 or any(
        isinstance(event.get(name), dict) for name in _APPLICATIONS
    )
