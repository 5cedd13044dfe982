"""``ontoidps messages FILE``: the message monitor, what agents of this host say to each other."""

from __future__ import annotations

import argparse
import difflib
import heapq
import json
import sys
import time
from collections import deque
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import BinaryIO, get_args

from agents.base.message_filter import Wish, records_of, wanted
from agents.base.message_log import ACCEPTED, NAMES, Logged, log_folder, read_entries, read_log
from agents.clock import now_us
from agents.commands.replay import printable
from agents.messages.acl import PERFORMATIVES, AclMessage
from agents.settings.fields import parse_duration
from agents.settings.honeynet import load_settings
from ontology.json_objects import iso_time
from ontology.records import Record

_LOOK_S = 0.3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="honeynet.toml")
    parser.add_argument("--sent", action="store_true", help="as sent, instead of as received")
    parser.add_argument("--agent", metavar="TEXT", help="sender or receiver contains it")
    parser.add_argument("--performative", metavar="WORD", help="inform, request, refuse, …")
    parser.add_argument("--protocol", metavar="WORD", help="fipa-request, fipa-subscribe, …")
    parser.add_argument("--record", metavar="CLASS", help="the fragment holds an Alert, Block, …")
    parser.add_argument("--conversation", metavar="ID", help="one conversation")
    parser.add_argument("--text", help="the fragment contains it")
    parser.add_argument("--refused", action="store_true", help="only what was not accepted")
    parser.add_argument("--since", metavar="DURATION", help="90s, 15m, 1h: only younger ones")
    parser.add_argument("--last", type=int, default=100, metavar="N", help="default 100; 0: all")
    parser.add_argument(
        "--all", action="store_true", help="also acknowledgements and registrations"
    )
    parser.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--fipa", action="store_true", help="whole messages (FIPA SC00070)")
    shape.add_argument("--json", action="store_true", help="one JSON object a message")


def run(arguments: argparse.Namespace) -> int:
    """0; raises ValueError for a bad duration or file."""
    settings = load_settings(arguments.file)
    folders = [
        log_folder(settings.state_dir, settings.jid(role, node)) for role, node in settings.agents()
    ]
    if not any((folder / name).exists() for folder in folders for name in NAMES):
        raise ValueError(
            f"{settings.state_dir}: no agent of this host has kept a message"
            + (" (message_log_mib is 0)" if not settings.message_log_mib else "")
        )
    _check("performative", arguments.performative, PERFORMATIVES)
    _check("record", arguments.record, {kind.__name__ for kind in get_args(Record)})
    since = now_us() - parse_duration(arguments.since) * 1_000_000 if arguments.since else 0
    wish = Wish(
        sent=arguments.sent,
        agent=arguments.agent,
        performative=arguments.performative,
        protocol=arguments.protocol,
        record=arguments.record,
        conversation=arguments.conversation,
        text=arguments.text,
        refused=arguments.refused,
        routine=arguments.all,
    )
    following = _Following(folders) if arguments.follow else None
    kept: Iterable[tuple[Logged, AclMessage]] = (
        (entry, message)
        for entry in heapq.merge(*(read_log(f) for f in folders), key=lambda e: e.time_us)
        if entry.time_us >= since and (message := wanted(entry, wish)) is not None
    )
    shown = count = 0
    if arguments.last:
        last: deque[tuple[Logged, AclMessage]] = deque(maxlen=arguments.last)
        for count, one in enumerate(kept, 1):  # noqa: B007  how many there were
            last.append(one)
        kept = last
    for shown, (entry, message) in enumerate(kept, 1):  # noqa: B007
        _print(entry, message, arguments)
    if not shown and not arguments.follow:
        print("no message that is kept is like this", file=sys.stderr)
    elif shown < count:
        print(f"showing {shown:,} of {count:,} (--last 0 shows all)", file=sys.stderr)
    while following is not None:
        sys.stdout.flush()
        time.sleep(_LOOK_S)
        for entry in following.take():
            if (found := wanted(entry, wish)) is not None:
                _print(entry, found, arguments)
    return 0


def _check(option: str, word: str | None, known: Collection[str]) -> None:
    """Raises: ValueError for a word that no message can have."""
    if word is not None and word not in known:
        near = difflib.get_close_matches(word, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"--{option}: there is no {word!r}{hint} (known: {', '.join(sorted(known))})"
        )


class _Following:
    """What comes after now, in all logs, also through their change of files."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._paths = {folder / NAMES[0]: None for folder in folders}
        self._files: dict[Path, BinaryIO] = {}
        for path in self._paths:
            if path.exists():
                self._files[path] = path.open("rb")
                self._files[path].seek(0, 2)

    def take(self) -> list[Logged]:
        found: list[Logged] = []
        for path in self._paths:
            file = self._files.get(path)
            if file is not None:
                found += read_entries(file)
            try:
                current = path.stat().st_ino
            except FileNotFoundError:
                continue
            if file is None or file.fileno() < 0 or _inode(file) != current:
                if file is not None:
                    found += read_entries(file)  # written between the look and the change
                    file.close()
                self._files[path] = path.open("rb")
                found += read_entries(self._files[path])
        return sorted(found, key=lambda entry: entry.time_us)


def _inode(file: BinaryIO) -> int:
    import os

    return os.fstat(file.fileno()).st_ino


def _print(entry: Logged, message: AclMessage, wish: argparse.Namespace) -> None:
    if wish.fipa:
        verdict = "" if entry.verdict == ACCEPTED else f" {entry.verdict}"
        print(f"; {iso_time(entry.time_us)} {entry.way}{verdict}")
        # The fragment's line ends stay; nothing that a terminal would obey does.
        lines = entry.fipa.decode("utf-8", "replace").replace("\t", "    ").split("\n")
        print("\n".join(printable(line) for line in lines))
        return
    records = records_of(message)
    if wish.json:
        print(
            json.dumps(
                {
                    "time": iso_time(entry.time_us),
                    "way": entry.way,
                    "refused": None if entry.verdict == ACCEPTED else entry.verdict,
                    "performative": message.performative,
                    "sender": message.sender,
                    "receivers": message.receivers,
                    "protocol": message.protocol,
                    "conversation_id": message.conversation_id,
                    "in_reply_to": message.in_reply_to,
                    "records": dict(records),
                    "content": message.content,
                }
            )
        )
        return
    what = ", ".join(f"{n} {name}" if n > 1 else name for name, n in records.items())
    verdict = "" if entry.verdict == ACCEPTED else f"  [{entry.verdict}]"
    ends = f"{_short(message.sender)} → {', '.join(map(_short, message.receivers))}"
    clock = iso_time(entry.time_us)[11:23]
    text = f"{clock}  {ends}  {message.performative}  {what or message.content[:60].strip()}"
    print(printable(f"{text}  {message.conversation_id}{verdict}"))


def _short(jid: str) -> str:
    return jid.partition("@")[0]
