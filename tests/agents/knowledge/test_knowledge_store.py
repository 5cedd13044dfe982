"""The last good version: there after a crash at any point, or known to be damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.knowledge import knowledge_store as module
from agents.knowledge.files import FileSet
from agents.knowledge.knowledge_store import Kept, KnowledgeStore
from tests.agents.base.small_disk import run_on_small_disk


@pytest.fixture
def store(tmp_path: Path) -> KnowledgeStore:
    return KnowledgeStore(tmp_path / "rules")


def kept(files: FileSet) -> Kept:
    return Kept(version="1+x", digest=files.digest, origin="ontology.gw1@x", changed_us=3)


def other(files: FileSet) -> FileSet:
    return FileSet({**files.contents, "reaction.owl": b"<other/>"})


def test_what_was_kept_is_found_by_the_next_process(
    store: KnowledgeStore, shipped: FileSet
) -> None:
    assert store.read() is None
    folder = store.lay_out(shipped)
    assert {path.name for path in folder.iterdir()} == set(shipped.contents)
    assert store.read() is None, "laid out is not in force"
    store.keep(kept(shipped))
    assert store.read() == (kept(shipped), shipped)


def test_what_is_only_tried_changes_nothing(store: KnowledgeStore, shipped: FileSet) -> None:
    store.lay_out(shipped)
    store.keep(kept(shipped))
    tried = store.lay_out(other(shipped))
    assert store.read() == (kept(shipped), shipped)
    store.keep(kept(other(shipped)))
    assert store.read() == (kept(other(shipped)), other(shipped))
    assert [path for path in tried.parent.iterdir() if path.is_dir()] == [tried]


def test_a_crash_before_the_last_step_leaves_the_version_before(
    store: KnowledgeStore, shipped: FileSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.lay_out(shipped)
    store.keep(kept(shipped))
    store.lay_out(other(shipped))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_whole", full)
    with pytest.raises(OSError):
        store.keep(kept(other(shipped)))
    assert store.read() == (kept(shipped), shipped)


@pytest.mark.parametrize("damage", ["pointer", "types", "keys", "content", "missing", "extra"])
def test_damage_is_seen_and_said(
    store: KnowledgeStore,
    shipped: FileSet,
    damage: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = store.lay_out(shipped)
    store.keep(kept(shipped))
    pointer = tmp_path / "rules" / "in-force.json"
    match damage:
        case "pointer":
            pointer.write_text("{")
        case "types":
            pointer.write_text(pointer.read_text().replace('"1+x"', "1"))
        case "keys":
            pointer.write_text('{"version": "1"}')
        case "content":
            (folder / "reaction.owl").write_text("<evil/>")
        case "missing":
            (folder / "reaction.owl").unlink()
        case "extra":
            (folder / "paper.owl").write_text("<evil/>")
    assert store.read() is None
    (line,) = [record.getMessage() for record in caplog.records]
    assert str(tmp_path / "rules") in line
    # Laid out again, it is whole again.
    store.lay_out(shipped)
    store.keep(kept(shipped))
    assert store.read() == (kept(shipped), shipped)


@pytest.mark.parametrize("fault", ["fill()", "remount('ro')"])
def test_what_is_laid_out_already_needs_no_room(tmp_path: Path, fault: str) -> None:
    run_on_small_disk(
        tmp_path,
        f"""
from agents.knowledge.files import shipped_files
from agents.knowledge.knowledge_store import KnowledgeStore
from agents.settings.honeynet import Policy
files = shipped_files(Policy())
store = KnowledgeStore(disk / "rules")
folder = store.lay_out(files)
{fault}
assert store.lay_out(files) == folder
name = sorted(files.contents)[0]
(empty() if (disk / "filler").exists() else remount("rw"))
(folder / name).write_bytes(b"damaged")
store.lay_out(files)
assert (folder / name).read_bytes() == files.contents[name]
""",
    )
