"""Contacts from kernel logs of nftables or iptables: the parser of the input ``syslog`` reads them.

A contact is one packet; its gateway is the address it was sent to, as in the paper, whose gateways
were the addresses of one machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, tzinfo
from ipaddress import IPv4Network, IPv6Network, ip_address

import numpy as np

from agents.sensor.inputs.events import LineRefused, Options
from agents.sensor.inputs.syslog import SyslogParser
from datasets.contacts.contact_log import ContactReader, address_of
from ontology.records import CONNECTION

_PORTED = (6, 17)


def read_firewall(
    blocks: Iterable[list[bytes]],
    reader: ContactReader,
    *,
    name: str,
    now_us: int,
    own: Sequence[IPv4Network | IPv6Network] = (),
    zone: tzinfo = UTC,
) -> None:
    """Add the contacts of one log; bad lines are counted by the parser's reasons.

    Args:
        blocks: as in `datasets.contacts.contact_csv.read_csv`.
        name: of the log, for errors.
        now_us: when it was last written: a time stamp without a year is of the latest year before.
        own: networks of the gateways; what they send, and what is sent elsewhere, is left out.
            Empty: every packet is a contact.
    """
    parser = SyslogParser(Options(timezone=zone))
    parser.now_us = now_us
    ours: dict[bytes, bool] = {}
    spelt: dict[bytes, str] = {}
    number = 0
    for block in blocks:
        packed: list[bytes] = []
        for line in block:
            number += 1
            try:
                seen = parser.on_line(line)
            except LineRefused as e:
                reader.refuse(e.reason, f"{name}:{number}")
                continue
            rows = [row for row in seen if isinstance(row, bytes)]
            # Logins and other tools' alerts in the same log are no packets.
            if not rows:
                reader.left_out["no packet"] += 1
            packed += rows
        if not packed:
            continue
        for row in np.frombuffer(b"".join(packed), CONNECTION):
            source, target = row["src"].tobytes(), row["dst"].tobytes()
            for address in (source, target):
                if address not in spelt:
                    text = spelt[address] = address_of(str(ip_address(address))) or ""
                    ours[address] = any(ip_address(text) in network for network in own)
            if own and ours[source]:
                reader.left_out["sent by a gateway"] += 1
            elif own and not ours[target]:
                reader.left_out["sent elsewhere"] += 1
            else:
                protocol = int(row["protocol"])
                port = int(row["dst_port"]) if protocol in _PORTED else -1
                reader.add(int(row["start_us"]), spelt[source], spelt[target], port, protocol)
