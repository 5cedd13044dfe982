"""The archive on a real store on disk."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from pyoxigraph import DefaultGraph, Store

from agents.ontology.archive import Archive, ArchiveError
from agents.ontology.archive_folder import folder_bytes
from ontology.knowledge_base import KnowledgeBase, ontology_path
from ontology.records import Alert, Block, Decision, HostEvent, Incident, ObservedData
from ontology.vocabulary import NAMESPACE
from tests.agents.base.small_disk import run_on_small_disk
from tests.factories import make_alert

ROOT = Path(__file__).parents[3]
SOURCE, TARGET = ip_address("192.0.2.7"), ip_address("2001:db8::1")


def an_alert(number: int) -> Alert:
    return Alert(
        id=f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
        classification="SynScan",
        source=SOURCE,
        target=TARGET,
        protocol=6,
        begin_us=number,
        end_us=number,
        confidence=0.5,
        verified_source=False,
        sensor="s",
        analyzer="a",
        explanation='x\x00\r\n"\\',
    )


class Told(dict[str, str]):
    def fault(self, name: str, reason: str) -> None:
        self[name] = reason

    def clear(self, name: str) -> None:
        self.pop(name, None)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    opened = Archive(tmp_path / "archive", capacity=5)
    yield opened
    opened.close()


def an_event(number: int) -> HostEvent:
    return HostEvent(
        id=f"urn:uuid:00000000-0000-4000-9000-{number:012d}",
        event_kind="execution",
        host=TARGET,
        begin_us=number,
        program="/home/x",
        sensor="s",
    )


def test_programs_in_a_loop_push_out_no_alert(tmp_path: Path) -> None:
    """Also after a restart, when the archive has to learn what it holds."""
    for round_ in range(2):
        opened = Archive(tmp_path / "archive", capacity=10)
        opened.add([an_alert(1), an_alert(2)])
        opened.add([an_event(round_ * 100 + n) for n in range(50)])
        assert len(opened) == 4
        assert opened.get(an_alert(1).id) == an_alert(1)
        last = an_event(round_ * 100 + 49)
        assert opened.get(last.id) == last
        opened.close()


def test_the_process_behind_an_alert_can_be_asked_for(archive: Archive, tmp_path: Path) -> None:
    event = replace(an_event(7), command_line="x -t 9", user_name="www-data")
    archive.add([event, replace(an_alert(1), host_events=(event.id,)), an_alert(2)])
    archive.snapshot(tmp_path / "copy")
    text = (ROOT / "docs/inputs.md").read_text(encoding="utf-8")
    question = text.split("```sparql\n")[1].split("```")[0]
    answers = Store.read_only(str(tmp_path / "copy")).query(
        f"PREFIX idps: <{NAMESPACE}> {question}"
    )
    rows = [[value.value for value in row] for row in answers]  # type: ignore[union-attr]
    assert rows == [[an_alert(1).id, "/home/x", "x -t 9", "www-data"]]


def test_an_alert_that_grew_outlives_its_earlier_self_that_comes_late(archive: Archive) -> None:
    first = an_alert(1)
    grown = replace(first, count=9, end_us=5)
    archive.add([grown])
    assert archive.add([first, an_alert(2)]) == 0
    assert archive.get(first.id) == grown
    assert archive.get(an_alert(2).id) == an_alert(2)
    archive.add([replace(grown, explanation="told anew")])
    assert len(archive) == 2


def test_keeps_each_kind_of_record_exactly(archive: Archive) -> None:
    records = (
        an_alert(1),
        Incident(
            id="urn:uuid:i",
            classification="FloodIncident",
            source=None,
            targets=(SOURCE, TARGET),
            alerts=("urn:uuid:a", "urn:uuid:b"),
            rule="FloodOnHost",
            begin_us=0,
            end_us=1,
            severity=1.0,
            verified_source=False,
            explanation="line 1\nline 2",
        ),
        Decision(
            id="urn:uuid:d",
            action="block",
            source=SOURCE,
            classification="FloodIncident",
            origin="user:me",
            decided_us=1,
            duration_s=60,
            reason="",
        ),
        Block(
            id="urn:uuid:b",
            decision="urn:uuid:d",
            gateway="gw1",
            source=SOURCE,
            state="active",
            since_us=1,
            expires_us=2,
        ),
    )
    assert archive.add(records) == 0
    assert len(archive) == 4
    for record in records:
        assert archive.get(record.id) == record
    assert archive.get("urn:uuid:none") is None


def test_a_record_takes_the_place_of_the_one_with_its_id(archive: Archive) -> None:
    archive.add([an_alert(1), an_alert(2)])
    later = replace(an_alert(1), explanation="more is known")
    archive.add([later])
    assert len(archive) == 2
    assert archive.get(later.id) == later


def test_the_oldest_make_room_and_are_counted(archive: Archive) -> None:
    assert archive.add([an_alert(n) for n in range(5)]) == 0
    archive.add([an_alert(0)])  # seen again: now the newest
    assert archive.add([an_alert(n) for n in range(5, 8)]) == 3
    assert [n for n in range(8) if archive.get(an_alert(n).id)] == [0, 4, 5, 6, 7]
    assert (len(archive), archive.removed) == (5, 3)


def left(number: int) -> ObservedData:
    return ObservedData(
        id=f"urn:uuid:00000000-0000-4000-9000-{number:012d}",
        source=SOURCE,
        target=TARGET,
        observed_port=22,
        begin_us=number,
        end_us=number,
        verified_source=True,
        sensor="s",
        input_kind="cowrie",
        credentials=(f"root:{number}",),
    )


def test_who_leaves_much_drives_out_no_alert(tmp_path: Path) -> None:
    """A fifth is theirs, also after a restart."""
    archive = Archive(tmp_path / "archive", capacity=10)
    archive.add([an_alert(number) for number in range(8)])
    assert archive.add([left(number) for number in range(50)]) == 48
    archive.close()
    archive = Archive(tmp_path / "archive", capacity=10)
    assert archive.add([left(50)]) == 1
    assert all(archive.holds(an_alert(number).id) for number in range(8))
    assert [n for n in range(51) if archive.holds(left(n).id)] == [49, 50]
    assert archive.get(left(50).id) == left(50)
    archive.close()


def test_a_batch_larger_than_the_archive_leaves_its_end(archive: Archive) -> None:
    assert archive.add([an_alert(n) for n in range(20)]) == 15
    assert [n for n in range(20) if archive.get(an_alert(n).id)] == [15, 16, 17, 18, 19]


def test_everything_is_still_there_after_a_restart(tmp_path: Path) -> None:
    first = Archive(tmp_path / "archive", capacity=3)
    first.add([an_alert(n) for n in range(5)])
    with KnowledgeBase([ontology_path()]) as knowledge:
        first.set_ontology(knowledge.ntriples(), "1.0.0+abc")
    first.close()
    second = Archive(tmp_path / "archive", capacity=3)
    try:
        assert (len(second), second.removed, second.ontology_version) == (3, 2, "1.0.0+abc")
        second.add([an_alert(9)])
        assert second.get(an_alert(2).id) is None
        assert second.get(an_alert(9).id) == an_alert(9)
    finally:
        second.close()


def test_nothing_is_left_of_a_removed_record(archive: Archive, tmp_path: Path) -> None:
    """Also of its hosts, unless another record names them."""
    gone = replace(an_alert(0), source=ip_address("203.0.113.1"), target=TARGET)
    archive.add([gone, *(an_alert(n) for n in range(1, 20))])
    archive.snapshot(tmp_path / "copy")
    kept = list(Store.read_only(str(tmp_path / "copy")).quads_for_pattern(None, None, None, None))
    subjects = {q.subject.value for q in kept if isinstance(q.graph_name, DefaultGraph)}
    hosts = {f"urn:ontoidps:host:{address}" for address in (SOURCE, TARGET)}
    assert subjects == {an_alert(n).id for n in range(15, 20)} | hosts
    noted = [q for q in kept if not isinstance(q.graph_name, DefaultGraph)]
    assert len(noted) == 5 + 1  # a sequence number each, and how many were removed


def test_another_ontology_replaces_the_first(archive: Archive, tmp_path: Path) -> None:
    archive.set_ontology(b"<urn:a:1> <urn:a:p> <urn:a:2> .\n", "1")
    archive.set_ontology(b"<urn:a:3> <urn:a:p> <urn:a:4> .\n", "2")
    archive.snapshot(tmp_path / "copy")
    store = Store.read_only(str(tmp_path / "copy"))
    assert store.query("ASK { GRAPH ?g { <urn:a:3> ?p ?o } }")
    assert not store.query("ASK { GRAPH ?g { <urn:a:1> ?p ?o } }")
    assert archive.ontology_version == "2"


def test_a_second_process_is_one_clear_line(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="archive") as refusal:
        Archive(tmp_path / "archive")
    assert "\n" not in str(refusal.value)


def test_where_there_can_be_no_folder_records_are_refused_and_words_known(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    told = Told()
    archive = Archive(tmp_path / "file", faults=told)
    with pytest.raises(ArchiveError, match="file"):
        archive.add([an_alert(1)])
    archive.set_ontology(b"<urn:a:1> <urn:a:p> <urn:a:2> .\n", "1")
    assert archive.ontology_version == "1" and "file" in told[str(tmp_path / "file")]
    (tmp_path / "file").unlink()
    archive._again_s = 0
    archive.look()
    assert not told and archive.ontology_version == "1"
    archive.add([an_alert(1)])
    assert archive.holds(an_alert(1).id)
    archive.close()


def test_a_folder_stays_within_its_bytes(tmp_path: Path) -> None:
    """Without compaction, 1,500 records leave 17 MB of log behind."""
    folder, limit = tmp_path / "archive", 4 << 20
    archive = Archive(folder, capacity=300, size_bytes=limit)
    for first in range(0, 1500, 50):
        archive.add([an_alert(n) for n in range(first, first + 50)])
        archive.look()
        assert folder_bytes(folder) < 2 * limit
    assert len(archive) <= 300 and archive.holds(an_alert(1499).id)
    archive.close()


def test_an_archive_beyond_its_capacity_is_cut_when_it_is_opened(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    archive.add([an_alert(n) for n in range(40)])
    archive.close()
    archive = Archive(tmp_path / "archive", capacity=10)
    assert len(archive) == 10 and archive.removed == 30
    assert archive.holds(an_alert(39).id) and not archive.holds(an_alert(29).id)
    archive.close()


def zero_manifest(folder: Path) -> None:
    (manifest,) = folder.glob("MANIFEST-*")
    manifest.write_bytes(bytes(manifest.stat().st_size))


def no_current(folder: Path) -> None:
    (folder / "CURRENT").unlink()


def zero_everything(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(bytes(path.stat().st_size))


def cut_tables(folder: Path) -> None:
    for path in folder.glob("*.sst"):
        path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("spoil", [zero_manifest, no_current, zero_everything, cut_tables])
def test_a_damaged_folder_is_set_aside(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    folder, told = tmp_path / "archive", Told()
    for _ in range(2):
        archive = Archive(folder, faults=told)
        archive.add([an_alert(n) for n in range(20)])
        archive.close()
    assert not told
    spoil(folder)
    archive = Archive(folder, faults=told)
    archive.add([an_alert(50)])
    assert archive.holds(an_alert(50).id)
    archive.close()
    (aside,) = tmp_path.glob("archive.damaged-*")
    assert aside.name in told[f"{folder} damaged"]


def test_on_a_full_disk_records_are_refused_until_there_is_room(tmp_path: Path) -> None:
    run_on_small_disk(
        tmp_path,
        """
from agents.ontology.archive import Archive, ArchiveError
from agents.ontology.archive_folder import folder_bytes
from tests.agents.ontology.test_archive import Told, an_alert
told = Told()
archive = Archive(disk / "archive", faults=told)
archive.add([an_alert(1)])
fill()
try:
    for n in range(2, 20_000):
        archive.add([an_alert(n)])
    raise SystemExit("it was never full")
except ArchiveError as e:
    assert "No space" in str(e) and "full" in told[str(disk / "archive")], (e, told)
stored = [n for n in range(1, 20_000) if archive.holds(an_alert(n).id)]
archive.set_ontology(b"<urn:a:1> <urn:a:p> <urn:a:2> .", "7")
archive._again_s = 0
archive.look()
assert told
empty()
archive._again_s = 0
archive.look()
assert not told, told
archive.add([an_alert(n) for n in range(max(stored) + 1, max(stored) + 9)])
archive.close()
again = Archive(disk / "archive", faults=told)
assert len(again) == len(stored) + 8
""",
        mib=32,
    )


def test_garbage_of_an_old_error_does_not_keep_the_folder_locked(archive: Archive) -> None:
    """A traceback in a cycle may hold an iterator, which holds the store."""
    archive.add([make_alert()])
    gc.disable()
    try:
        cycle: list[object] = [archive._store.quads_for_pattern(None, None, None)]
        cycle.append(cycle)
        del cycle
        archive._fail(OSError("IO error: No space left on device"))
        archive._again_s = 0.0
        archive.look()
    finally:
        gc.enable()
    assert not archive._failed
    assert archive.get(make_alert().id) == make_alert()


def test_capacity_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="capacity"):
        Archive(tmp_path / "x", capacity=0)


def test_threads_may_add_at_once(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    try:
        threads = [
            threading.Thread(
                target=lambda k=k: archive.add([an_alert(k * 10 + i) for i in range(10)])
            )
            for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(archive) == 40
        assert all(archive.get(an_alert(n).id) == an_alert(n) for n in range(40))
    finally:
        archive.close()
    again = Archive(tmp_path / "archive")
    try:
        assert sorted(again._order.values()) == list(range(1, 41))
    finally:
        again.close()
