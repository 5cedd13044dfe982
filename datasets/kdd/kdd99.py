"""KDD Cup 1999 connection records: names, attack classes, and a reader for files of that format.

A line holds 41 comma-separated features and a label, with or without a final dot (the task
description's ``kddcup.names``); `datasets.kdd.nsl_kdd` reads the same with one more column. Files
may be plain, gzip, bzip2 or xz. They are somebody else's: every value is checked, and the only
errors that leave this module are `KddError` (one line, with file and line number) and OSError.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

NORMAL = "normal"
CLASSES = (NORMAL, "DoS", "Probe", "R2L", "U2R")
"""Normal traffic and the task's four kinds of attack: denial of service, surveillance, remote to
local, user to root."""

_NAMES = {
    "DoS": "apache2 back land mailbomb neptune pod processtable smurf teardrop udpstorm worm",
    "Probe": "ipsweep mscan nmap portsweep saint satan",
    "R2L": (
        "ftp_write guess_passwd httptunnel imap multihop named phf sendmail snmpgetattack "
        "snmpguess spy warezclient warezmaster xlock xsnoop"
    ),
    "U2R": "buffer_overflow loadmodule perl ps rootkit sqlattack xterm",
}
ATTACK_CLASS: dict[str, str] = {
    NORMAL: NORMAL,
    **{name: kind for kind, names in _NAMES.items() for name in names.split()},
}
"""The 22 attacks of the training files and the 17 that only test files have, to their class.
Authors differ on ``worm`` (two records): here as in most work on NSL-KDD."""

CATEGORICAL = ("protocol_type", "service", "flag")
FEATURES: tuple[str, ...] = (
    *("duration", *CATEGORICAL, "src_bytes", "dst_bytes", "land", "wrong_fragment", "urgent"),
    *("hot", "num_failed_logins", "logged_in", "num_compromised", "root_shell", "su_attempted"),
    *("num_root", "num_file_creations", "num_shells", "num_access_files", "num_outbound_cmds"),
    *("is_host_login", "is_guest_login", "count", "srv_count", "serror_rate", "srv_serror_rate"),
    *("rerror_rate", "srv_rerror_rate", "same_srv_rate", "diff_srv_rate", "srv_diff_host_rate"),
    *("dst_host_count", "dst_host_srv_count", "dst_host_same_srv_rate", "dst_host_diff_srv_rate"),
    *("dst_host_same_src_port_rate", "dst_host_srv_diff_host_rate", "dst_host_serror_rate"),
    *("dst_host_srv_serror_rate", "dst_host_rerror_rate", "dst_host_srv_rerror_rate"),
)
"""Columns, in the order of the file."""
NUMERIC: tuple[str, ...] = tuple(name for name in FEATURES if name not in CATEGORICAL)

_TEXT_COLUMNS = (1, 2, 3)
_NUMBER_COLUMNS = tuple(i for i in range(len(FEATURES)) if i not in _TEXT_COLUMNS)
_RATES = np.array([name.endswith("_rate") for name in NUMERIC])
_MAX_LINE = 1024
"""Characters; a genuine line has under 250."""
_OPENERS: dict[bytes, Callable[..., IO[bytes]]] = {
    b"\x1f\x8b": cast("Callable[..., IO[bytes]]", gzip.open),
    b"BZ": cast("Callable[..., IO[bytes]]", bz2.open),
    b"\xfd7": cast("Callable[..., IO[bytes]]", lzma.open),
}


class KddError(ValueError):
    """The file isn't what it should be; the message is one line and names file and line."""


@dataclass(frozen=True, slots=True, eq=False)
class KddRecords:
    """The records of one file, in its order."""

    numbers: NDArray[np.float64]
    """(n, 38), columns as in `NUMERIC`; finite, at least 0, rates at most 1."""
    protocol: NDArray[np.str_]
    """(n,) ``tcp``, ``udp``, ``icmp``."""
    service: NDArray[np.str_]
    """(n,) e.g. ``http``."""
    flag: NDArray[np.str_]
    """(n,) how the connection went and ended, e.g. ``SF``, ``S0``."""
    labels: NDArray[np.str_]
    """(n,) keys of `ATTACK_CLASS`."""
    row: NDArray[np.int64]
    """(n,) number of the distinct line that the record repeats, in [0, number of distinct lines).
    KDD Cup 99 repeats most lines; whoever splits a file must not put copies on both sides."""
    lines: NDArray[np.int64]
    """(n,) line of the file, from 1."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> NDArray[np.str_]:
        """(n,) members of `CLASSES`."""
        names, inverse = np.unique(self.labels, return_inverse=True)
        return np.array([ATTACK_CLASS[str(name)] for name in names], dtype=np.str_)[inverse]

    def take(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> KddRecords:
        """The records that ``index`` (numbers or a mask) selects."""
        return KddRecords(
            numbers=self.numbers[index],
            protocol=self.protocol[index],
            service=self.service[index],
            flag=self.flag[index],
            labels=self.labels[index],
            row=self.row[index],
            lines=self.lines[index],
        )


def read_kdd(path: Path) -> KddRecords:
    """Read a KDD Cup 99 file: ``kddcup.data``, ``kddcup.data_10_percent`` or ``corrected``.

    Raises:
        KddError: a line is not 41 features and a known label, or the file is empty or damaged.
        OSError: the file can't be read.
    """
    return parse(path, columns=(len(FEATURES) + 1,))


def parse(path: Path, *, columns: tuple[int, ...]) -> KddRecords:
    """Read ``path``; every line has one of ``columns`` fields, the 42nd is the label.

    Raises: KddError, OSError, as `read_kdd`.
    """
    seen: dict[str, int] = {}
    first_line: list[int] = []
    rows: list[int] = []
    texts: list[tuple[str, str, str, str]] = []
    numbers: list[list[float]] = []
    for number, line in _lines(path):
        row = seen.get(line)
        if row is None:
            fields = line.split(",")
            if len(fields) not in columns:
                wanted = " or ".join(map(str, columns))
                raise KddError(f"{path}:{number}: {len(fields)} columns, expected {wanted}")
            label = fields[len(FEATURES)].strip().removesuffix(".")
            if label not in ATTACK_CLASS:
                raise KddError(f"{path}:{number}: unknown label {label[:40]!r}")
            try:
                numbers.append([float(fields[column]) for column in _NUMBER_COLUMNS])
                if len(fields) > len(FEATURES) + 1:
                    int(fields[-1])
            except ValueError as e:
                raise KddError(f"{path}:{number}: {' '.join(str(e)[:80].split())}") from e
            protocol, service, flag = (fields[column].strip() for column in _TEXT_COLUMNS)
            if protocol not in ("tcp", "udp", "icmp"):
                raise KddError(f"{path}:{number}: unknown protocol {protocol[:40]!r}")
            row = seen[line] = len(texts)
            texts.append((protocol, service, flag, label))
            first_line.append(number)
        rows.append(row)
    if not rows:
        raise KddError(f"{path}:1: no records")
    values = np.array(numbers)
    _check(path, values, first_line)
    index = np.array(rows, dtype=np.int64)
    words = np.array(texts, dtype=np.str_)
    return KddRecords(
        numbers=values[index],
        protocol=words[index, 0],
        service=words[index, 1],
        flag=words[index, 2],
        labels=words[index, 3],
        row=index,
        lines=np.arange(1, len(index) + 1),
    )


def _check(path: Path, values: NDArray[np.float64], first_line: list[int]) -> None:
    """Raises: KddError: a value out of its range."""
    bad = ~((values >= 0) & (values < math.inf)) | ((values > 1) & _RATES)
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise KddError(
            f"{path}:{first_line[row]}: {NUMERIC[column]} can't be {values[row, column]:g}"
        )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without their end. Raises: KddError: damaged, too long or not ASCII."""
    with path.open("rb") as probe:
        opener = _OPENERS.get(probe.read(2))
    number = 0
    try:
        with opener(path, "rb") if opener else path.open("rb") as file:
            while line := file.readline(_MAX_LINE):
                number += 1
                if len(line) >= _MAX_LINE:
                    raise KddError(f"{path}:{number}: longer than {_MAX_LINE} characters")
                text = line.decode("ascii").rstrip("\r\n")
                if not text.strip():
                    raise KddError(f"{path}:{number}: empty line")
                yield number, text
    except UnicodeDecodeError as e:
        raise KddError(f"{path}:{number}: not text") from e
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as e:
        raise KddError(f"{path}:{number + 1}: damaged file: {e}") from e
