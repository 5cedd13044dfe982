"""``ontoidps evaluate bans LOG…``: reads logs of several sensors, in any form that is known."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import tzinfo
from ipaddress import ip_network
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo

from agents.commands.output import shown
from agents.evaluation.ban_report import BanReport, evaluate
from agents.evaluation.firewall_contacts import read_firewall
from agents.sensor.inputs.log_files import read_lines
from datasets.contacts import sotm34
from datasets.contacts.alert_lines import read_alerts
from datasets.contacts.contact_csv import COLUMNS, read_csv
from datasets.contacts.contact_log import ContactReader, time_of
from rules.bans.ban_lengths import DAY_S, HISTORY_S
from rules.bans.source_profile import THRESHOLD

FORMATS = ("auto", "csv", "firewall", "sotm34", "alerts")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words behind ``bans``, without those that every kind of evaluation has."""
    parser.add_argument("log", nargs="+", type=Path, help="log, also .gz and .xz; several are one")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="auto",
        help="csv: with a header (the marx set is one); firewall: kernel log of nftables or "
        "iptables; sotm34: the tarball; alerts: JSON lines of `ontoidps replay --json` or "
        "`ontoidps alerts list --json`; auto (default): by the first line",
    )
    for what, usual in COLUMNS.items():
        parser.add_argument(
            f"--{what}",
            metavar="COLUMN",
            help=f"csv: the column of the {what} (default: the first of {', '.join(usual[:4])} … "
            "that is there)",
        )
    parser.add_argument(
        "--own",
        action="append",
        default=[],
        type=ip_network,
        metavar="NETWORK",
        help="firewall: network of the gateways; what they send, or is sent elsewhere, is left out "
        f"(repeatable; sotm34: {sotm34.OWN})",
    )
    parser.add_argument(
        "--timezone", type=_zone, default="UTC", help="of times that name none (default UTC)"
    )
    parser.add_argument(
        "--since",
        type=_moment,
        metavar="TIME",
        help="count only from then on; learn from the start",
    )
    parser.add_argument("--until", type=_moment, metavar="TIME", help="leave out what came later")
    parser.add_argument(
        "--threshold",
        type=_threshold,
        default=THRESHOLD,
        metavar="N",
        help=f"probes within which a second gateway must be reached (paper, default: {THRESHOLD})",
    )
    parser.add_argument(
        "--history",
        type=_days,
        default=HISTORY_S / DAY_S,
        metavar="DAYS",
        help=f"how long the paper's policies remember a lifted ban (default {HISTORY_S // DAY_S})",
    )


def _zone(text: str) -> tzinfo:
    try:
        return ZoneInfo(text)
    except (OSError, ValueError) as e:  # ZoneInfoNotFoundError is a KeyError
        raise argparse.ArgumentTypeError(f"{text!r} is no time zone, as Europe/Berlin is") from e
    except KeyError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is no time zone that is known here") from e


def _moment(text: str) -> int:
    try:
        return time_of(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(f"{text!r} is no time, as 2013-06-01 is") from e


def _threshold(text: str) -> int:
    if not text.isdecimal() or not 2 <= int(text[:6]) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 2 to 10000")
    return int(text)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = -1.0
    if not 0 <= days <= 36_500:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 0 to 36500")
    return days


def guess_format(first: str) -> str:
    """The format of a log by its first line that is not empty."""
    if first.lstrip().startswith("{"):
        return "alerts"
    if "IN=" in first and " SRC=" in first:
        return "firewall"
    return "csv"


def evaluate_bans(
    arguments: argparse.Namespace, progress: Callable[[list[Path]], list[Path]] = list
) -> BanReport:
    """Read all logs as one, replay all policies.

    Raises: ValueError, OSError, with one line.
    """
    reader = ContactReader()
    for path in progress(arguments.log):
        _read(path, arguments, reader)
    try:
        log = reader.finish().between(None, arguments.until)
    except ValueError as e:
        raise ValueError(f"{', '.join(map(shown, arguments.log))}: {e}") from e
    if not len(log):
        raise ValueError("no contact is left: all are after the time named by --until")
    return evaluate(
        log,
        dataset=" ".join(path.name for path in arguments.log),
        threshold=arguments.threshold,
        history_s=arguments.history * DAY_S,
        since_us=arguments.since,
        # Drawings take longer than all policies; one object on a line has no place for them.
        plots=not arguments.json or arguments.html is not None,
    )


def _read(path: Path, arguments: argparse.Namespace, reader: ContactReader) -> None:
    name = shown(path)
    kind = arguments.format
    zone: tzinfo = arguments.timezone
    if kind == "sotm34" or (kind == "auto" and sotm34.is_tarball(path)):
        blocks, now_us = sotm34.firewall_lines(path)
        own = arguments.own or [sotm34.OWN]
        read_firewall(blocks, reader, name=name, now_us=now_us, own=own, zone=zone)
        return
    blocks = read_lines(path)
    if kind == "auto":
        first = next(blocks, [])
        blocks = chain([first], blocks)
        start = next((line for line in first if line.strip()), b"")
        kind = guess_format(start.decode("utf-8", "replace"))
    if kind == "firewall":
        now_us = path.stat().st_mtime_ns // 1000
        read_firewall(blocks, reader, name=name, now_us=now_us, own=arguments.own, zone=zone)
    elif kind == "alerts":
        read_alerts(blocks, reader, name=name)
    else:
        named = {what: value for what in COLUMNS if (value := getattr(arguments, what))}
        read_csv(blocks, reader, name=name, named=named, zone=zone)
