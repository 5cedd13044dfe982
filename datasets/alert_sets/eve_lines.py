"""Suricata's alerts as lines of EVE: a plain ``eve.json``, or what Splunk exported of one.

CPTC 2017 comes as the latter: a JSON array whose ``result._raw`` is the line that Suricata wrote.
The truth is a table from signature to stage of attack.
"""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from datasets.alert_sets.labelled import SetError

HARMLESS = frozenset(("NON_MALICIOUS", "NONE"))
"""Stages that are none of an attack."""


def eve_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines, from 1; plain or gzip.

    Raises:
        SetError: the export is not of that form.
        OSError: the file can't be read.
    """
    data = path.read_bytes()
    try:
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        if not data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"[":
            yield from enumerate(data.splitlines(), 1)
            return
        for number, entry in enumerate(json.loads(data.decode("utf-8-sig")), 1):
            yield number, entry["result"]["_raw"].encode()
    except (ValueError, EOFError, OSError) as e:
        raise SetError(f"{path}: can't be read: {e}") from e
    except (KeyError, TypeError, AttributeError):
        raise SetError(f"{path}: entry {number}: has no result._raw") from None


def read_stages(path: Path) -> dict[str, str]:
    """Stage of each signature; of several rows of one the first counts.

    Raises: SetError: no columns ``signature`` and ``micro_attack_stage``. OSError.
    """
    stages: dict[str, str] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        wanted = {"signature", "micro_attack_stage"}
        if not wanted <= set(reader.fieldnames or ()):
            raise SetError(f"{path}:1: no columns signature and micro_attack_stage")
        for row in reader:
            stages.setdefault(row["signature"], row["micro_attack_stage"])
    return stages


def signature_of(line: bytes) -> str | None:
    """The message of an alert; None if the line is none."""
    try:
        event = json.loads(line)
        return str(event["alert"]["signature"])
    except (ValueError, KeyError, TypeError):
        return None
