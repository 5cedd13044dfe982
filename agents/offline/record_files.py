"""Connection records to files: KDD Cup 99 lines, or Parquet with times and addresses."""

from __future__ import annotations

from ipaddress import IPv6Address
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from datasets.kdd.kdd99 import FEATURES
from datasets.kdd.record import RATES, WORDS, as_lines

Columns = dict[str, NDArray[Any]]

_CONNECTION = (
    ("capture", pa.dictionary(pa.int32(), pa.string())),
    ("start", pa.timestamp("us", tz="UTC")),
    ("duration_us", pa.int64()),
    ("src", pa.string()),
    ("dst", pa.string()),
    ("src_port", pa.uint16()),
    ("dst_port", pa.uint16()),
    ("protocol", pa.uint8()),
    ("ip_version", pa.uint8()),
    ("orig_packets", pa.int64()),
    ("resp_packets", pa.int64()),
)


def _kind(name: str) -> pa.DataType:
    if name in WORDS:
        return pa.dictionary(pa.int8(), pa.string())
    return pa.float64() if name in RATES else pa.int64()


SCHEMA = pa.schema(
    [
        *_CONNECTION,
        *((name, _kind(name)) for name in FEATURES),
        ("label", pa.dictionary(pa.int8(), pa.string())),
    ]
)
"""Columns of a Parquet file: the connection, its 41 features in the order of KDD Cup 99, its label
(null without ``--label``). Ports are null where the protocol has none."""


class RecordFile(Protocol):
    """What `agents.commands.records` writes to."""

    def write(self, capture: str, connections: NDArray[Any], records: Columns) -> None: ...


class KddFile:
    """Lines as in ``kddcup.data``, into an open text file (which stays open)."""

    def __init__(self, file: IO[str], label: str | None) -> None:
        self._file, self._label = file, label

    def write(self, capture: str, connections: NDArray[Any], records: Columns) -> None:
        self._file.writelines(line + "\n" for line in as_lines(records, self._label))


class ParquetFile:
    """A Parquet file; each `write` is a row group."""

    def __init__(self, path: Path, label: str | None) -> None:
        self._label = label
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")

    def write(self, capture: str, connections: NDArray[Any], records: Columns) -> None:
        n, c = len(connections), connections
        portless = np.isin(c["protocol"], (6, 17), invert=True)
        columns: list[Any] = [
            _words(np.zeros(n, np.int32), (capture,)),
            pa.array(c["start_us"], pa.timestamp("us", tz="UTC")),
            pa.array(c["duration_us"]),
            pa.array(_addresses(c["src"])),
            pa.array(_addresses(c["dst"])),
            pa.array(c["src_port"], mask=portless),
            pa.array(c["dst_port"], mask=portless),
            pa.array(c["protocol"]),
            pa.array(c["ip_version"]),
            pa.array(c["orig_packets"].astype(np.int64)),
            pa.array(c["resp_packets"].astype(np.int64)),
        ]
        for name in FEATURES:
            values = records[name]
            if name in WORDS:
                columns.append(_words(values.astype(np.int8), WORDS[name]))
            else:
                kind = np.float64 if name in RATES else np.int64
                columns.append(pa.array(values.astype(kind)))
        if self._label is None:
            columns.append(pa.nulls(n, SCHEMA.field("label").type))
        else:
            columns.append(_words(np.zeros(n, np.int8), (self._label,)))
        self._writer.write_table(pa.Table.from_arrays(columns, schema=SCHEMA))

    def close(self) -> None:
        self._writer.close()


def _words(codes: NDArray[Any], words: tuple[str, ...]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(words))


def _addresses(column: NDArray[np.uint8]) -> list[str]:
    """As text; the same address is made once."""
    packed = np.ascontiguousarray(column).view("V16").reshape(-1).tolist()
    texts = {one: _text(one) for one in set(packed)}
    return [texts[one] for one in packed]


def _text(packed: bytes) -> str:
    address = IPv6Address(packed)
    return str(address.ipv4_mapped or address)
