"""Suricata's ``eve.json``: alerts by signature and category, flows as connections.

Format: Suricata user guide, "EVE JSON format". Other event types repeat what flows and alerts say
and give nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from agents.sensor.inputs.classes import shipped
from agents.sensor.inputs.events import (
    MAX_COUNT,
    STATE,
    TCP,
    UDP,
    Claim,
    Host,
    LineRefused,
    Options,
    Plain,
    Sighting,
    clean,
    host,
    iso_us,
    json_object,
    pack_row,
    port,
    protocol,
    tcp_state,
    whole,
)

_HEADERS = {TCP: 54, UDP: 42}
"""Ethernet, IPv4 and TCP or UDP without options: flows count whole frames, records payload."""
_APPLICATIONS = ("http", "tls", "ssh", "smtp", "ftp")


class EveParser(Plain):
    """``alert`` and ``flow`` events; keeps nothing between lines."""

    kind: ClassVar[str] = "eve"

    def __init__(self, options: Options) -> None:
        self._options = options
        self._classes = shipped()

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        event = json_object(line)
        match event.get("event_type"):
            case "alert":
                return self._alert(event)
            case "flow":
                return (self._flow(event),)
            case str():
                return ()
        raise LineRefused("shape")

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
        named = alert.get("source")
        if isinstance(named, dict) and "ip" in named:
            # The rule's own "target" keyword settles who is who.
            swapped = host(named["ip"]) != source
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
        sid = whole(alert.get("signature_id", 0), MAX_COUNT)
        return (
            Claim(
                name,
                source,
                target,
                ports[1] or None if number in _HEADERS else None,
                number,
                at_us,
                confidence,
                number == TCP and _established(event) and source == _opener(event),
                f"Suricata {sid} {clean(message)!r} ({clean(category, 60)})",
            ),
        )

    def _flow(self, event: dict[str, Any]) -> bytes:
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
        source: Host = host(event.get("src_ip"))
        return pack_row(
            at_us=start,
            duration_us=max(end - start, 0),
            source=source,
            target=host(event.get("dest_ip")),
            protocol=number,
            state=state,
            ports=ports,
            flags=flags,
            packets=packets,
            size=size,
        )


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
