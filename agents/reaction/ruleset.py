"""The rules of our table as data: what `nft -j` is told, and how its listings compare."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from ipaddress import ip_network
from typing import Any, Final

from ontology.records import Address, Network

TABLE: Final = "ontoidps"
COUNTERS: Final = ("allowed4", "allowed6", "blocked4", "blocked6")
SET_SIZE: Final = 1 << 20
_PRIORITY: Final = -310  # before raw (-300) and conntrack (-200), after defragmentation (-400)


def rules() -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """(chain, statements) in order.

    Ordinary packets pay for two hash look-ups. Only those of a blocked address meet the allow-list,
    which stands before the drop and speaks of the stranger's side alone: an allow-listed neighbour
    must not be able to answer a blocked address.
    """
    sides = (("from", "saddr", "prerouting"), ("to", "daddr", "prerouting"))
    for side, field, chain in (*sides, ("to", "daddr", "output")):
        for version, protocol in ((4, "ip"), (6, "ip6")):
            yield (
                chain,
                [
                    _in_set(protocol, field, f"block{version}"),
                    {"jump": {"target": f"{side}{version}"}},
                ],
            )
    for side, field, _ in sides:
        for version, protocol in ((4, "ip"), (6, "ip6")):
            name = f"{side}{version}"
            allowed = _in_set(protocol, field, f"allow{version}")
            yield name, [allowed, {"counter": f"allowed{version}"}, {"return": None}]
            yield name, [{"counter": f"blocked{version}"}, {"drop": None}]


def _in_set(protocol: str, field: str, name: str) -> dict[str, Any]:
    left = {"payload": {"protocol": protocol, "field": field}}
    return {"match": {"op": "==", "left": left, "right": f"@{name}"}}


def objects() -> list[dict[str, Any]]:
    """The table's content without elements, in the order of `nft -j list table`'s vocabulary."""
    own = {"family": "inet", "table": TABLE}
    out: list[dict[str, Any]] = []
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        out.append({"set": {**own, "name": f"allow{version}", "type": kind, "flags": ["interval"]}})
        out.append(
            {
                "set": {
                    **own,
                    "name": f"block{version}",
                    "type": kind,
                    "flags": ["timeout"],
                    "size": SET_SIZE,
                }
            }
        )
    out += [{"counter": {**own, "name": name}} for name in COUNTERS]
    out += [{"chain": {**own, "name": name}} for name in ("from4", "from6", "to4", "to6")]
    base = {"type": "filter", "prio": _PRIORITY, "policy": "accept"}
    out += [
        {"chain": {**own, "name": hook, "hook": hook, **base}} for hook in ("prerouting", "output")
    ]
    out += [{"rule": {**own, "chain": chain, "expr": expr}} for chain, expr in rules()]
    return out


def canonical(objects: Iterable[dict[str, Any]]) -> list[str]:
    """Objects in a form that compares equal for equal meaning; rules keep their order by chain."""
    out = []
    for entry in objects:
        ((kind, body),) = entry.items()
        if kind == "metainfo":
            continue
        kept = {k: v for k, v in body.items() if k not in ("handle", "packets", "bytes", "elem")}
        if isinstance(kept.get("flags"), list):
            kept["flags"] = sorted(kept["flags"])
        out.append(json.dumps([kind, kept], sort_keys=True))
    rules = [text for text in out if text.startswith('["rule"')]
    rules.sort(key=lambda text: json.loads(text)[1]["chain"])  # stable: order inside a chain stays
    return sorted(text for text in out if not text.startswith('["rule"')) + rules


def whole_table(allow: Iterable[Network], blocks: Mapping[Address, float]) -> list[dict[str, Any]]:
    """Commands that put the table in the place of whatever has its name, in one transaction.

    ``blocks``: seconds that each has; rounded up, as nft takes whole ones.
    """
    table = {"table": {"family": "inet", "name": TABLE}}
    commands: list[dict[str, Any]] = [{"add": table}, {"delete": table}, {"add": table}]
    commands += [{"add": entry} for entry in objects()]
    elements: dict[str, list[Any]] = {}
    for network in allow:
        elements.setdefault(f"allow{network.version}", []).append(_element(network))
    for address, seconds in blocks.items():
        elements.setdefault(f"block{address.version}", []).append(
            {"elem": {"val": str(address), "timeout": math.ceil(seconds)}}
        )
    for name, elem in elements.items():
        commands.append(
            {"add": {"element": {"family": "inet", "table": TABLE, "name": name, "elem": elem}}}
        )
    return commands


def _element(network: Network) -> str | dict[str, Any]:
    if network.prefixlen == network.max_prefixlen:
        return str(network.network_address)
    return {"prefix": {"addr": str(network.network_address), "len": network.prefixlen}}


def networks(listing: Iterable[dict[str, Any]]) -> set[Network] | None:
    """The elements of a listed interval set; None if one is in a form that we never write."""
    found: set[Network] = set()
    for entry in listing:
        for element in entry.get("set", {}).get("elem", []):
            try:
                if isinstance(element, dict):
                    prefix = element["prefix"]
                    found.add(ip_network(f"{prefix['addr']}/{prefix['len']}"))
                else:
                    found.add(ip_network(element))
            except (KeyError, ValueError, TypeError):
                return None
    return found


EXPECTED: Final = canonical(
    [{"table": {"family": "inet", "name": TABLE}}, *objects()]  # a dormant table has flags
)
