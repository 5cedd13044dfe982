"""Dionaea's ``log_json``: one object per finished session with the decoy.

Format: dionaea's ihandler ``log_json``, also with ``flat_data``. Time stamps are UTC without
saying so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from agents.sensor.inputs.events import (
    ACK,
    FIN,
    PSH,
    RST,
    STATE,
    SYN,
    TCP,
    UDP,
    UNRELATED,
    Claim,
    LineRefused,
    Options,
    Plain,
    Sighting,
    Traces,
    clean,
    host,
    iso_us,
    pack_row,
    port,
)
from agents.sensor.inputs.nat_gateways import is_own_gateway
from agents.sensor.inputs.observed_traces import credential
from agents.sensor.inputs.wrappers import event_object

_SEEN = SYN | ACK | PSH | FIN
_MAX_LOGINS = 1000
_SHELLS = frozenset({"ftpd", "Telnet", "telnetd"})
"""Services whose passwords travel in the clear and that the analyzer's login detector knows by
port; a login anywhere else is a claim."""


class DionaeaParser(Plain):
    """Keeps nothing between lines: a session is one line."""

    kind: ClassVar[str] = "dionaea"

    def __init__(self, options: Options) -> None:
        self._options = options

    def on_line(self, line: bytes) -> Iterable[Sighting]:
        event = event_object(line, "connection")
        connection = event.get("connection")
        if connection is None:
            return UNRELATED
        if not isinstance(connection, dict):
            raise LineRefused("shape")
        way, service = connection.get("type"), connection.get("protocol")
        if not isinstance(service, str):
            raise LineRefused("shape")
        number = {"tcp": TCP, "tls": TCP, "udp": UDP}.get(str(connection.get("transport")))
        if number is None:
            raise LineRefused("protocol")
        if way == "listen":
            return ()
        if way not in ("accept", "reject", "connect"):
            raise LineRefused("shape")
        at_us = iso_us(event.get("timestamp"))
        source = host(event.get("src_ip"))
        local = host(event.get("dst_ip"))
        if way != "connect" and is_own_gateway(source, local):
            raise LineRefused("translated")
        target = self._options.decoy(local, source.version)
        ports = port(event.get("src_port")), port(event.get("dst_port"))
        if way == "connect":
            # The decoy calls out because somebody told it to (shellcode, FTP's PORT), and whom to
            # call he chose freely: this line says of the called one nothing at all. Who it was
            # stands in the line of his own session.
            source, target, ports = target, source, ports[::-1]
            if number == TCP:
                words = "Dionaea: the decoy was made to connect out"
                claim = Claim(
                    "Exploit", source, target, ports[1] or None, TCP, at_us, 0.8, False, words
                )
                return (claim,)
        logins = _logins(event)
        # At a decoy every password is a guess, whatever the answer was (the log does not say).
        counted = logins if service in _SHELLS else 0
        if number == UDP:
            state, flags, packets = STATE["OTH"], (0, 0), (1, 0)
        elif way == "reject":
            state, flags, packets = STATE["REJ"], (SYN, RST | ACK), (1, 1)
        else:
            state, flags, packets = STATE["SF"], (_SEEN, _SEEN), (3, 2)
        row = pack_row(
            at_us=at_us,
            source=source,
            target=target,
            protocol=number,
            state=state,
            ports=ports,
            flags=flags,
            packets=packets,
            logins=(counted, counted),
            translated=True,
            conversation=number == TCP and way == "accept",
        )
        if not logins:
            return (row,)
        proven = number == TCP and way == "accept"
        left = tuple(("credentials", one) for one in _credentials(event["credentials"]))
        traces = Traces(source, target, ports[1], at_us, proven, left)
        if counted:
            return row, traces
        words = f"Dionaea: {logins} logins tried at {clean(service, 40)}"
        claim = Claim(
            "BruteForce", source, target, ports[1] or None, number, at_us, 0.6, True, words
        )
        return row, claim, traces


def _logins(event: dict[str, Any]) -> int:
    """How many user names and passwords the session tried."""
    found = event.get("credentials")
    if found is None:
        return 0
    if isinstance(found, dict):  # flat_data: a list per column
        found = found.get("password")
    if not isinstance(found, list):
        raise LineRefused("shape")
    return min(len(found), _MAX_LOGINS)


def _credentials(found: Any) -> list[str]:
    """What was tried, of both forms that the log has."""
    if isinstance(found, dict):
        users, passwords = found.get("username"), found.get("password")
        if not isinstance(users, list) or not isinstance(passwords, list):
            return []
        pairs = list(zip(users[:_MAX_LOGINS], passwords, strict=False))
    else:
        pairs = [
            (one.get("username"), one.get("password"))
            for one in found[:_MAX_LOGINS]
            if isinstance(one, dict)
        ]
    return [credential(*pair) for pair in pairs]
