"""``ontoidps records CAPTURE…``: captures to the connection records of KDD Cup 99."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from agents.commands.output import check_writable, plural
from agents.commands.replay import printable, shown
from agents.offline.connections import Connections
from datasets.kdd.kdd99 import ATTACK_CLASS
from datasets.kdd.record import KddRecorder, has_record
from datasets.kdd.windows import HOST_WINDOW, MAX_HOST_WINDOW
from ontology.records import CONNECTION

if TYPE_CHECKING:
    from agents.offline.record_files import RecordFile

_ROWS = 1 << 15
"""Connections made into records at once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "One record a connection, all 41 features of KDD Cup 99 (docs/records.md says which are "
        "exact). In order of the connections' start; each capture stands for itself."
    )
    parser.add_argument(
        "capture", nargs="+", type=Path, help="pcap or pcapng file, also .gz and .xz"
    )
    parser.add_argument(
        "--format",
        choices=("kdd", "parquet"),
        default="kdd",
        help="kdd: lines as in kddcup.data; parquet: typed columns, with times and addresses",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write here (default: stdout; parquet needs it)"
    )
    parser.add_argument(
        "--label",
        type=_label,
        metavar="NAME",
        help="of all records, e.g. normal or nmap; without it, lines have 41 columns as in the "
        "task's unlabelled file, and `ontoidps evaluate` can't use them",
    )
    parser.add_argument(
        "--host-window",
        type=int,
        default=HOST_WINDOW,
        metavar="N",
        help=f"connections that dst_host_… look back at, at most {MAX_HOST_WINDOW} "
        f"(default {HOST_WINDOW})",
    )
    parser.add_argument(
        "--join", action="store_true", help="the captures are one traffic, in this order"
    )
    parser.add_argument(
        "--json", action="store_true", help="what was read and written as one JSON object on stdout"
    )


def _label(text: str) -> str:
    name = text.removesuffix(".")
    if name not in ATTACK_CLASS:
        raise argparse.ArgumentTypeError(
            f"no label of KDD Cup 99: {printable(text)[:40]!r} (normal, or an attack: "
            f"{', '.join(sorted(set(ATTACK_CLASS) - {'normal'}))})"
        )
    return name


def run(arguments: argparse.Namespace) -> int:
    """0 if every capture could be read to its end."""
    out: Path | None = arguments.out
    if out is None and arguments.format == "parquet":
        raise ValueError("--format parquet is not for a terminal: name a file with --out")
    if out is None and arguments.json:
        raise ValueError("--json prints on stdout: name a file for the records with --out")
    for path in arguments.capture:
        if not path.exists():
            raise ValueError(f"{shown(path)}: no such file")
        if not path.is_file():
            raise ValueError(f"{shown(path)}: not a regular file")
        if out is not None and out.exists() and out.samefile(path):
            raise ValueError(f"--out {shown(out)} would overwrite the capture")
    check_writable(out)
    KddRecorder(host_window=arguments.host_window)  # a wrong N is said before anything is written
    if out is None:
        return _write(arguments, None)
    # A file under its own name is whole: a reader never meets half of one.
    part = out.with_name(out.name + ".part")
    try:
        code = _write(arguments, part)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return code


def _write(arguments: argparse.Namespace, path: Path | None) -> int:
    from agents.offline.record_files import (  # loads pyarrow, which takes a while
        KddFile,
        ParquetFile,
    )

    if path is None:
        return _all(arguments, KddFile(sys.stdout, arguments.label))
    if arguments.format == "parquet":
        table = ParquetFile(path, arguments.label)
        try:
            return _all(arguments, table)
        finally:
            table.close()
    with path.open("w", encoding="ascii") as lines:
        return _all(arguments, KddFile(lines, arguments.label))


def _all(arguments: argparse.Namespace, file: RecordFile) -> int:
    """Every capture into ``file``."""
    code = 0
    totals: Counter[str] = Counter()
    connections, recorder = Connections(), KddRecorder(host_window=arguments.host_window)
    last = len(arguments.capture) - 1
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        for number, path in enumerate(arguments.capture):
            if number and not arguments.join:
                connections = Connections()
                recorder = KddRecorder(host_window=arguments.host_window)
            task = progress.add_task(printable(path.name), total=_size(path))
            parts = _parts(connections, path, finish=not arguments.join or number == last)
            try:
                for part, read in parts:
                    progress.advance(task, read)
                    known = part[has_record(part)]
                    totals["left_out"] += len(part) - len(known)
                    totals["records"] += len(known)
                    if len(known):
                        file.write(path.name, known, recorder.records(known))
            except ValueError as e:
                print(f"ontoidps records: {printable(e)}", file=sys.stderr)
                code = 1
            progress.remove_task(task)
            if number == last or not arguments.join:
                _count(totals, connections, recorder)
    _say(arguments, totals)
    return code


def _size(path: Path) -> int | None:
    """Bytes to come; None if they are packed."""
    with path.open("rb") as file:
        packed = file.read(6).startswith((b"\x1f\x8b", b"\xfd7zXZ"))
    return None if packed else path.stat().st_size


def _parts(
    connections: Connections, path: Path, *, finish: bool
) -> Iterator[tuple[NDArray[np.void], int]]:
    """Connections of a capture in parts of some size, and the bytes read for each.

    Raises: CaptureError, after all connections that could be read.
    """
    waiting: list[NDArray[np.void]] = []
    problem: ValueError | None = None
    try:
        for part, read in connections.capture(path):
            waiting.append(part)
            full = sum(map(len, waiting)) >= _ROWS
            yield np.concatenate(waiting) if full else part[:0], read
            if full:
                waiting = []
    except ValueError as e:
        problem = e
    if finish:
        waiting.append(connections.finish())
    rest = np.concatenate([np.zeros(0, CONNECTION), *waiting])
    for begin in range(0, len(rest), _ROWS):
        yield rest[begin : begin + _ROWS], 0
    if problem is not None:
        raise problem


def _count(totals: Counter[str], connections: Connections, recorder: KddRecorder) -> None:
    for name in ("packets", "duplicates", "retransmitted", "malformed", "evicted"):
        totals[name] += connections.counters[name]
    totals["late"] += connections.late
    totals["cut"] += recorder.windows.cut


_WORDS = {
    "left_out": "of other protocols left out",
    "duplicates": "duplicate packets left out",
    "malformed": "malformed packets",
    "evicted": "connections reported early (table full)",
    "late": "connections out of order (see docs/records.md)",
    "cut": "connections forgotten inside a window",
}


def _say(arguments: argparse.Namespace, totals: Counter[str]) -> None:
    """What was done: on stderr, since stdout is for records; with ``--json`` on stdout."""
    if arguments.json:
        names = ("records", "packets", *_WORDS, "retransmitted")
        print(json.dumps({name: totals[name] for name in names}))
        return
    notes = "".join(f", {totals[name]} {words}" for name, words in _WORDS.items() if totals[name])
    print(
        f"ontoidps records: {plural(totals['records'], 'record')} of"
        f" {plural(totals['packets'], 'packet')}{notes}",
        file=sys.stderr,
    )
