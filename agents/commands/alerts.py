"""``ontoidps alerts {list,show} FILE``: what was found, and the packet that it rests on."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from agents.commands.output import check_writable, plural
from agents.commands.replay import printable
from agents.console.client import ConsoleClient
from agents.settings.honeynet import load_settings
from ontology._values import date_time

_LABELS = (
    ("signatures", "signature"),
    ("cves", "CVE"),
    ("affected_services", "service"),
    ("affected_systems", "system"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")

    def word(name: str, what: str) -> argparse.ArgumentParser:
        sub = words.add_parser(name, help=what, description=what)
        sub.add_argument("file", type=Path, help="honeynet.toml")
        sub.add_argument("--json", action="store_true", help="JSON, one object a line")
        return sub

    listing = word("list", "alerts behind incidents, newest first")
    listing.add_argument("--limit", type=_count, default=100, help="default 100, at most 5000")
    listing.add_argument(
        "--idmef",
        action="store_true",
        help="IDMEFv2 documents, one a line, at most 1000 (docs/idmef.md)",
    )
    show = word("show", "one alert, and scapy's dissection of the packet that it rests on")
    show.add_argument("which", help="id, with or without urn:uuid:")
    show.add_argument(
        "--pcap", type=Path, metavar="FILE", help="write the conversation around it here, as pcap"
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= 5000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 5000")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Raises: ConsoleError (a RuntimeError) with one line."""
    settings = load_settings(arguments.file)
    with ConsoleClient(settings) as console:
        if arguments.word == "list" and arguments.idmef:
            if arguments.json:
                raise ValueError("--idmef or --json, not both")
            documents = console.idmef(limit=min(arguments.limit, 1000))
            if late := console.late():
                print(late, file=sys.stderr)
            for document in documents:
                print(json.dumps(document))
            return 0
        if arguments.word == "list":
            found = console.alerts(limit=arguments.limit)
            if late := console.late():
                print(late, file=sys.stderr)
            for view in found:
                print(json.dumps(view) if arguments.json else _line(view["alert"]))
            if not found and not arguments.json:
                print("no alerts")
            return 0
        check_writable(arguments.pcap)
        alert = console.alert(arguments.which)["alert"]
        evidence = console.evidence(arguments.which)
        if arguments.json:
            print(json.dumps({"alert": alert, "evidence": evidence}))
        else:
            print(_tell(alert, evidence))
        if arguments.pcap is not None:
            data = console.capture(arguments.which)
            arguments.pcap.write_bytes(data)
            written = f"{plural(int(evidence['packets']), 'packet')} in {arguments.pcap}"
            print(printable(written), file=sys.stderr)
    return 0


def _line(alert: dict[str, Any]) -> str:
    text = (
        f"{date_time(alert['end_us'])}  {alert['id'].removeprefix('urn:uuid:')}  "
        f"{alert['classification']}  {_ends(alert)}"
    )
    return printable(text)


def _ends(alert: dict[str, Any]) -> str:
    source = alert["source"] or plural(alert["source_count"], "source")
    target = alert["target"] or plural(alert["target_count"], "host")
    port = "" if alert["target_port"] is None else f" port {alert['target_port']}"
    return f"{source} -> {target}{port}"


def _tell(alert: dict[str, Any], evidence: dict[str, Any]) -> str:
    """An alert and its packet as text; what strangers wrote is printable."""
    verified = "verified source" if alert["verified_source"] else "source could be forged"
    lines = [
        f"{alert['classification']}  {_ends(alert)}",
        f"  seen:       {date_time(alert['begin_us'])} to {date_time(alert['end_us'])}",
        f"  worth:      confidence {alert['confidence']:.2f}, {verified}",
        f"  why:        {alert['explanation']}",
        *(f"  {label + ':':<11} {', '.join(alert[key])}" for key, label in _LABELS if alert[key]),
        f"  seen by:    {alert['sensor']}",
        f"  id:         {alert['id']}",
        f"  evidence:   {evidence['explanation']}",
    ]
    lines = [printable(line) for line in lines]
    lines += [f"    {printable(line)}" for line in str(evidence["dissection"]).splitlines()]
    return "\n".join(lines)
