"""What a Suricata alert says of its signature: individual, CVEs, what is affected, in names and in
words; and its packet.

Names are those of our own matches (`rules.signatures`), so that an alert of either kind leads to
the same individual. Format: Suricata user guide, "EVE JSON format", event type alert.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from agents.sensor.inputs.events import LineRefused, clean, whole
from agents.sensor.inputs.sightings import LoggedPacket, Named
from rules.signatures.affected import affected_by, cves_of

MAX_REMEMBERED: Final = 1024
"""Signatures whose names are remembered."""
_MAX_ID: Final = (1 << 32) - 1
_SAID: Final = ("affected_product", "attack_target", "service", "cve")
_VALUES: Final = 8
_LONGEST: Final = 100
_KEPT: Final = 300
"""Characters of message and category by which a signature is known again."""
_LONGEST_PACKET: Final = 90_000
"""Characters of base64: a frame of 64 KiB."""
_LINK_TYPES: Final = {12: 101, 14: 101}
"""libpcap's number of raw IP is the system's own; files have another (pcap-linktype(7))."""
_KNOWN: Final = frozenset({"dns", "ftp", "http", "imap", "rdp", "sip", "smb", "smtp", "ssh", "tls"})
"""Protocols that a rule can be written for by name."""


class SignatureNames:
    """Signatures repeat; kept is what a signature's metadata said last."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[int, int, str], tuple[Any, Named, str]] = OrderedDict()

    def of(
        self, alert: dict[str, Any], message: str, category: str, application: object
    ) -> tuple[Named, str]:
        """Its names, and the words for an explanation. Raises: LineRefused."""
        sid = whole(alert.get("signature_id", 0), _MAX_ID)
        gid = whole(alert.get("gid", 1), _MAX_ID)
        metadata = alert.get("metadata")
        protocol = application if isinstance(application, str) and application in _KNOWN else ""
        key = gid, sid, protocol
        remembered = self._known.get(key)
        asked = message[:_KEPT], category[:_KEPT], metadata
        if remembered is not None and remembered[0] == asked:
            return remembered[1:]
        said = _said(metadata)
        services, systems = affected_by(said, asked[0], protocol or None)
        found = Named(
            signature=f"urn:ontoidps:signature:{gid}:{sid}" if sid else "",
            cves=cves_of((), asked[0], said.get("cve", ()))[:_VALUES],
            services=services,
            systems=systems,
        )
        words = _words(sid, message, category, found)
        self._known[key] = asked, found, words
        if len(self._known) > MAX_REMEMBERED:
            self._known.popitem(last=False)
        return found, words


def _words(sid: int, message: str, category: str, named: Named) -> str:
    about = "".join(
        f"; {word} {', '.join(names[:4])}"
        for word, names in (
            ("names", named.cves),
            ("affects", named.services),
            ("on", named.systems),
        )
        if names
    )
    return f"Suricata {sid} {clean(message)!r} ({clean(category, 60)}{about})"


def _said(metadata: object) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    if isinstance(metadata, dict):
        for name in _SAID:
            values = metadata.get(name)
            if isinstance(values, list):
                texts = [clean(one, _LONGEST) for one in values[:_VALUES] if isinstance(one, str)]
                if texts:
                    found[name] = texts
    return found


def packet_of(event: dict[str, Any], source_port: int, target_port: int) -> LoggedPacket | None:
    """The packet that matched, if the log has it whole. (``payload`` is what streams were put
    together to: no packet had it, and none is made up.)"""
    data = event.get("packet")
    if not isinstance(data, str) or not 0 < len(data) <= _LONGEST_PACKET:
        return None
    info = event.get("packet_info")
    try:
        link = whole(info.get("linktype", 1), 65535) if isinstance(info, dict) else 1
    except LineRefused:
        return None
    return LoggedPacket(data, _LINK_TYPES.get(link, link), source_port, target_port)
