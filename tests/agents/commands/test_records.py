"""``ontoidps records``: what it writes is what KDD's readers read; mistakes are one line."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from agents.main import main
from agents.offline.record_files import SCHEMA
from benchmarks.bench_packets import generate
from datasets.kdd.kdd99 import FEATURES, NUMERIC, read_kdd
from datasets.recipe.traffic import SAMPLES


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("records") / "mix.pcap"
    generate(path, 20_000)
    return path


def test_labelled_file_is_read_back_and_judged(
    capture: Path, tmp_path: Path, kdd_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert main(["records", str(capture), "--out", str(out), "--label", "neptune", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    records = read_kdd(out)
    assert len(records) == said["records"] > 1000
    assert 20_000 <= said["packets"] + said["duplicates"] <= 20_001
    assert set(records.labels.tolist()) == {"neptune"}
    assert {"http", "domain_u", "eco_i"} <= set(records.service.tolist())
    assert records.numbers[:, NUMERIC.index("dst_host_srv_count")].max() <= 100
    assert not list(tmp_path.glob("*.part"))
    train = kdd_file("train", normal=200, neptune=100)
    assert main(["evaluate", "kdd", str(train), "--test", str(out), "--json"]) == 0


def test_without_a_label_there_are_41_columns_on_stdout(
    capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["records", str(capture), "--host-window", "255"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert {line.count(",") for line in lines} == {40}
    assert f"{len(lines)} records of 2000" in err
    assert max(int(line.split(",")[32]) for line in lines) > 100


def test_parquet_has_types_times_and_addresses_and_the_same_features(
    capture: Path, tmp_path: Path
) -> None:
    table, lines = tmp_path / "out.parquet", tmp_path / "out.csv"
    words = ["records", str(capture), "--label", "normal."]
    assert main([*words, "--format", "parquet", "--out", str(table)]) == 0
    assert main([*words, "--out", str(lines)]) == 0
    made = pq.read_table(table)
    assert made.schema.equals(SCHEMA)
    records = read_kdd(lines)
    for name in FEATURES:
        column = made.column(name).to_pylist()
        if name in NUMERIC:
            assert column == records.numbers[:, NUMERIC.index(name)].tolist(), name
    assert made.column("service").to_pylist() == records.service.tolist()
    first = made.slice(0, 1).to_pylist()[0]
    assert first["capture"] == "mix.pcap" and first["label"] == "normal"
    assert first["start"].tzinfo is not None and "." in first["src"]
    starts = made.column("start").to_pylist()
    assert starts == sorted(starts)
    icmp = [row for row in made.to_pylist() if row["protocol_type"] == "icmp"]
    assert icmp and all(row["src_port"] is None for row in icmp)


def test_packed_captures_give_the_same_each_for_itself_or_joined(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = sorted(SAMPLES.glob("*.pcap*"))[:2]
    assert len(names) == 2
    packed = []
    for number, path in enumerate(names):
        content = path.read_bytes()
        if path.suffix in (".gz", ".xz"):
            content = (gzip if path.suffix == ".gz" else lzma).decompress(content)
        for kind, pack in (("gz", gzip.compress), ("xz", lzma.compress)):
            packed.append(tmp_path / f"{number}.pcap.{kind}")
            packed[-1].write_bytes(pack(content))

    def lines(*words: object) -> list[str]:
        assert main(["records", *map(str, words)]) == 0
        return capsys.readouterr().out.splitlines()

    one, other = lines(names[0]), lines(names[1])
    assert lines(packed[0], packed[3]) == one + other
    joined = lines(packed[1], packed[2], "--join")
    assert len(joined) == len(one) + len(other) and joined != one + other


def test_a_capture_that_breaks_off_is_written_as_far_as_it_goes(
    capture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = capture.read_bytes()
    broken = tmp_path / "broken.pcap"
    broken.write_bytes(content[:500_000] + bytes(8) + b"\xff" * 64 + content[500_000:])
    out = tmp_path / "out.csv"
    assert main(["records", str(broken), str(capture), "--out", str(out), "--label", "normal"]) == 1
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 2 and "broken.pcap: packet record at byte" in err[0]
    assert len(read_kdd(out)) > 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.pcap"], "nowhere.pcap: no such file"),
        (["."], ".: not a regular file"),
        (["{}", "--out", "{}"], "would overwrite the capture"),
        (["{}", "--format", "parquet"], "name a file with --out"),
        (["{}", "--json"], "name a file for the records with --out"),
        (["{}", "--host-window", "256"], "host window must lie in [1, 255], got 256"),
        (["{}", "--out", "/"], "/: is a directory"),
        (["{}", "--out", "/nowhere/x"], "/nowhere/x: there is no folder /nowhere"),
    ],
)
def test_mistakes_are_one_line(
    capture: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = capture.read_bytes()
    assert main(["records", *(word.replace("{}", str(capture)) for word in words)]) == 1
    out, err = capsys.readouterr()
    assert out == "" and said in err and err.count("\n") == 1
    assert capture.read_bytes() == before


def test_unknown_label_is_refused(capture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["records", str(capture), "--label", "unheard\nof"])
    err = capsys.readouterr().err
    assert "no label of KDD Cup 99: 'unheard" in err


def test_the_table_of_seen_connections_is_one_record_each(tmp_path: Path) -> None:
    """A minute-long connection, of which the live sensor would report every five seconds."""
    from datasets.captures.pcap import write_capture
    from tests.agents.sensor.payloads.test_content import Talk

    talk = Talk(21)
    for number in range(60):
        talk.send(number % 2 == 0, b"NOOP\r\n")
    path = tmp_path / "long.pcap"
    write_capture(path, talk.frames, [n * 1_000_000 for n in range(len(talk.frames))])
    out = tmp_path / "out"
    assert main(["records", str(path), "--out", str(out), "--label", "normal"]) == 0
    records = read_kdd(out)
    assert len(records) == 1
    assert records.flag[0] == "S1"
    assert records.numbers[0, [0, 1, 2]].tolist() == [61, 180, 180]
    assert np.isfinite(records.numbers).all()
