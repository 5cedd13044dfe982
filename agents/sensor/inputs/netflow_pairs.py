"""Suricata's ``netflow`` events: two one-way records of a flow, made one ``flow`` event.

Suricata writes the originator's record first and the responder's right behind it, if he answered at
all (output-json-netflow.c). A record without its partner so far waits for it, a few lines at most.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from agents.sensor.inputs.events import LineRefused

MAX_WAITING = 8
"""Threads of Suricata that end flows at once write between each other's two records."""
_KEPT = (
    *("flow_id", "src_ip", "src_port", "dest_ip", "dest_port", "proto", "icmp_type", "icmp_code"),
    *("netflow", "tcp"),
)


class NetflowPairs:
    """Kept: the first records that wait, and whether the log also has ``flow`` events, which tell
    the same: then these say nothing."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._sure = False
        self.told = False
        """The log has ``flow`` events."""

    def add(self, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Flows that are whole now, as ``flow`` events. Raises: LineRefused."""
        flow = event.get("flow_id")
        if type(flow) is not int or not isinstance(event.get("netflow"), dict):
            raise LineRefused("shape")
        if self.told:
            return
        name = f"{flow}"[:24]
        first = self._waiting.pop(name, None)
        if first is not None:
            self._sure = True
            yield _whole(first, event)
            return
        while len(self._waiting) >= MAX_WAITING:
            yield from self._alone()
        # An answer that comes first when reading begins would be taken for a visit by the decoy.
        waiting = {key: event[key] for key in _KEPT if key in event}
        self._waiting[name] = waiting | {"unsure": not self._sure}

    def _alone(self) -> Iterator[dict[str, Any]]:
        """The oldest was not answered."""
        _, first = self._waiting.popitem(last=False)
        self._sure = True
        if not first.pop("unsure"):
            yield _whole(first, None)

    def memory(self) -> str:
        """Below 64 KiB whatever the events held: a record that is longer is forgotten."""
        kept = {name: one for name, one in self._waiting.items() if len(json.dumps(one)) < 2000}
        return json.dumps([self.told, self._sure, kept]) if self.told or self._sure or kept else ""

    def remember(self, memory: str) -> None:
        """Raises: ValueError."""
        if not memory:
            return
        told, sure, waiting = json.loads(memory)
        self.told, self._sure = told is True, sure is True
        for name, one in list(waiting.items())[:MAX_WAITING]:
            if not isinstance(one, dict) or not isinstance(one.get("netflow"), dict):
                raise ValueError("not a record")
            one.setdefault("unsure", True)
            self._waiting[str(name)[:24]] = one


def _whole(first: dict[str, Any], second: dict[str, Any] | None) -> dict[str, Any]:
    there, back = first["netflow"], {"pkts": 0, "bytes": 0} if second is None else second["netflow"]
    flow = {
        "pkts_toserver": there.get("pkts"),
        "pkts_toclient": back.get("pkts"),
        "bytes_toserver": there.get("bytes"),
        "bytes_toclient": back.get("bytes"),
        "start": there.get("start"),
        "end": there.get("end"),
    }
    whole = first | {"flow": flow}
    tcp = first.get("tcp")
    if isinstance(tcp, dict):
        answer = {"tcp_flags": "00"} if second is None else second.get("tcp")
        back_flags = answer.get("tcp_flags") if isinstance(answer, dict) else None
        whole["tcp"] = {"tcp_flags_ts": tcp.get("tcp_flags"), "tcp_flags_tc": back_flags}
    return whole
