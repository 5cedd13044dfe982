"""``ontoidps blocks WORD FILE``: who is blocked where, why and how long; what is done about it."""

from __future__ import annotations

import argparse
import json
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any

from agents.clock import now_us
from agents.commands.replay import printable
from agents.commands.status import DRY_RUN
from agents.console.client import ConsoleClient
from agents.settings.fields import parse_duration
from agents.settings.honeynet import load_settings


def address_argument(text: str) -> IPv4Address | IPv6Address:
    """An address as it is typed. Raises: ArgumentTypeError, in words."""
    try:
        address = ip_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise argparse.ArgumentTypeError(f"{text!r} has a scope id, which no other host knows")
    return address


def _seconds(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from None


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of blocks")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")

    def word(name: str, what: str) -> argparse.ArgumentParser:
        sub = words.add_parser(name, help=what, description=what)
        sub.add_argument("file", type=Path, help="honeynet.toml")
        sub.add_argument("--json", action="store_true", help="JSON, one object a line")
        return sub

    listing = word("list", "running blocks, newest first")
    listing.add_argument(
        "--state",
        default="active",
        choices=["active", "waiting", "shadow", "lifted", "expired", "ended", "all"],
    )
    listing.add_argument(
        "--would",
        dest="state",
        action="store_const",
        const="shadow",
        help="what would have been blocked, were no gateway or rule in mode shadow",
    )
    listing.add_argument(
        "--waiting",
        dest="state",
        action="store_const",
        const="waiting",
        help="what waits for a person (mode approve)",
    )
    listing.add_argument("--gateway", help="only this gateway's")
    listing.add_argument("--limit", type=_count, default=1000, help="default 1000; 0: all")
    show = word("show", "one block with its whole explanation")
    show.add_argument("which", help="id or address")
    add = word("add", "block an address by hand")
    add.add_argument("source", type=address_argument, metavar="ADDRESS")
    add.add_argument("--for", dest="duration", type=_seconds, help="90s, 15m, 1h, 7d")
    lift = word("lift", "end a block on every gateway")
    lift.add_argument("which", help="id or address")
    extend = word("extend", "make a block end later")
    extend.add_argument("which", help="id or address")
    extend.add_argument("--by", type=_seconds, required=True, help="90s, 15m, 1h, 7d")
    approve = word("approve", "have a block carried out that waits for a person")
    veto = word("veto", "say no to a block that waits for a person")
    for sub in (approve, veto):
        sub.add_argument("which", help="id or address")
    shorten = word("shorten", "make a block end earlier")
    shorten.add_argument("which", help="id or address")
    shorten.add_argument("--by", type=_seconds, required=True, help="90s, 15m, 1h, 7d")
    for sub in (lift, veto):
        sub.add_argument(
            "--grace",
            type=_seconds,
            help="for so long the same incidents don't block it again; default: policy.lift_grace",
        )
    undo = word("undo", "take back the last thing that was done here about a block")
    for sub in (add, lift, extend, shorten, approve, veto, undo):
        sub.add_argument("--reason", required=True, help="kept in the audit trail")


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConsoleError (a RuntimeError) with one line."""
    settings = load_settings(arguments.file)
    if arguments.word == "list" and arguments.gateway is not None:
        settings.node_named(arguments.gateway)
    if settings.policy.dry_run:
        print(DRY_RUN, file=sys.stderr)
    with ConsoleClient(settings) as console:
        match arguments.word:
            case "list":
                found = console.blocks(
                    state=arguments.state, gateway=arguments.gateway, limit=arguments.limit
                )
                if late := console.late():
                    print(late, file=sys.stderr)
                _print_list(found, as_json=arguments.json)
                if arguments.state == "active" and not arguments.json:
                    _tell_held(console, arguments.gateway)
                if len(found) < found.total:
                    print(
                        f"showing {len(found):,} of {found.total:,} (--limit 0 shows all)",
                        file=sys.stderr if arguments.json else sys.stdout,
                    )
            case "show":
                detail = console.block(console.resolve(arguments.which))
                print(json.dumps(detail) if arguments.json else _tell(detail))
            case "add":
                block = console.add(
                    str(arguments.source), duration_s=arguments.duration, reason=arguments.reason
                )
                _print_list([block], as_json=arguments.json)
            case "lift" | "veto":
                block = console.decide(
                    arguments.word,
                    arguments.which,
                    reason=arguments.reason,
                    grace_s=arguments.grace,
                )
                _print_list([block], as_json=arguments.json)
            case "approve":
                block = console.decide("approve", arguments.which, reason=arguments.reason)
                _print_list([block], as_json=arguments.json)
            case "shorten":
                block = console.shorten(
                    arguments.which, seconds=arguments.by, reason=arguments.reason
                )
                _print_list([block], as_json=arguments.json)
            case "undo":
                _print_list([console.undo(reason=arguments.reason)], as_json=arguments.json)
            case _:
                block = console.extend(
                    arguments.which, seconds=arguments.by, reason=arguments.reason
                )
                _print_list([block], as_json=arguments.json)
    return 0


ENDING = {"lifted": "lifting", "expired": "expiring"}
"""A block that is over and that a gateway has not said to have ended."""


def time_left(block: dict[str, Any], now: int) -> str:
    """``0:04:59``, or how the block ended: ``lifted`` once no gateway says otherwise."""
    if block["state"] not in ("active", "waiting", "shadow"):
        still = any(g["state"] in ("active", "unknown") for g in block["gateways"])
        return ENDING[block["state"]] if still else str(block["state"])
    seconds = max(0, (block["expires_us"] - now) // 1_000_000)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _tell_held(console: ConsoleClient, gateway: str | None) -> None:
    """What the list of running blocks leaves out."""
    for state, option, words in (
        ("waiting", "--waiting", "wait for a person"),
        ("shadow", "--would", "would have been blocked, or were not on all gateways"),
    ):
        found = console.blocks(state=state, gateway=gateway, limit=1)
        if found.total:
            print(f"{found.total:,} {words} ({option} shows them)")


def where(block: dict[str, Any]) -> str:
    """Gateways by what they say: ``gw1 gw2 active, gw3 pending``."""
    by_state: dict[str, list[str]] = {}
    for gateway in block["gateways"]:
        by_state.setdefault(gateway["state"], []).append(gateway["gateway"])
    return ", ".join(f"{' '.join(names)} {state}" for state, names in by_state.items())


def _print_list(blocks: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        for block in blocks:
            print(json.dumps(block))
        return
    if not blocks:
        print("no blocks")
        return
    now = now_us()
    rows = [
        (
            str(b["source"]),
            where(b),
            time_left(b, now),
            printable(b["classification"]),
            printable(b["reason"]).splitlines()[0] if b["reason"] else "",
        )
        for b in blocks
    ]
    head = ("WHO", "WHERE", "LEFT", "WHY", "")
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(4)]
    for row in [head, *rows]:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)]
        print("  ".join([*cells, row[4]]).rstrip())


def _tell(detail: dict[str, Any]) -> str:
    """A block's explanation as text."""
    block = detail["block"]
    lines = [
        f"{block['source']} ({time_left(block, now_us())})",
        f"  where: {where(block)}",
        *(f"    {g['gateway']} says: {g['detail']}" for g in block["gateways"] if g["detail"]),
        f"  why:   {block['classification']}, decided by {block['origin']}",
    ]
    for incident in detail["incidents"]:
        lines += [f"    {line}" for line in str(incident["explanation"]).splitlines()]
    lines += [
        f"  {audit['who']}: {audit['what']} {audit['reason']}".rstrip() for audit in detail["audit"]
    ]
    return printable("\n".join(lines))
