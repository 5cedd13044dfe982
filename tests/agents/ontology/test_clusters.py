"""The file of cluster names in the agent's state: begun, edited, spoilt, of another model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agents.ontology.clusters import ClusterBook
from ontology.clusters_file import ClusterFileError, clusters_path, read_clusters, write_clusters
from ontology.traffic_cluster import TrafficCluster


def cluster(number: int, digest: str = "a" * 64) -> TrafficCluster:
    return TrafficCluster(
        id=f"urn:ontoidps:cluster:{digest[:16]}:{number}",
        model_digest=digest,
        cluster_number=number,
        cluster_name=f"SynScan (cluster {number})",
        traffic_class="SynScan",
        purity=0.5,
        radius=1.5,
        member_count=7,
        case_count=0,
    )


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    path = tmp_path / "shipped.owl"
    path.write_bytes(write_clusters([cluster(0), cluster(1)], []))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "knowledge"


def edit(book: ClusterBook, old: str, new: str) -> None:
    text = book.path.read_text(encoding="utf-8")
    assert old in text
    book.path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_it_begins_as_shipped_with_a_catalogue_for_protege(folder: Path) -> None:
    book = ClusterBook(folder, clusters_path())
    assert book.path.read_bytes() == clusters_path().read_bytes()
    assert book.take_over() == ()
    entries = ElementTree.parse(folder / "catalog-v001.xml").getroot()  # noqa: S314
    places = {e.get("name", ""): e.get("uri", "") for e in entries}
    assert Path(places["https://w3id.org/ontoidps"].removeprefix("file://")).is_file()
    assert places["https://w3id.org/ontoidps/clusters"] == book.path.name


def test_an_edit_is_taken_over_and_outlives_a_restart(folder: Path, shipped: Path) -> None:
    book = ClusterBook(folder, shipped)
    edit(book, "SynScan (cluster 1)", "own scanner")
    assert [c.cluster_name for c in book.take_over()] == ["own scanner"]
    assert book.take_over() == ()
    assert ClusterBook(folder, shipped).in_force.clusters[1].cluster_name == "own scanner"


def test_a_wish_is_written_into_what_an_analyst_saved_meanwhile(
    folder: Path, shipped: Path
) -> None:
    book = ClusterBook(folder, shipped)
    edit(book, "SynScan (cluster 1)", "own scanner")
    assert book.rename(replace(cluster(0), cluster_name="backup", traffic_class="Normal")) == (
        replace(cluster(0), cluster_name="backup", traffic_class="Normal")
    )
    assert [c.cluster_name for c in book.take_over()] == ["backup", "own scanner"]
    assert [p.name for p in folder.glob("*.new")] == []


@pytest.mark.parametrize("spoil", ["<broken", "", None])
def test_a_spoilt_file_leaves_the_last_good_names_in_force(
    folder: Path, shipped: Path, spoil: str | None
) -> None:
    book = ClusterBook(folder, shipped)
    edit(book, "SynScan (cluster 1)", "own scanner")
    book.take_over()
    if spoil is None:
        edit(book, ">SynScan<", ">Foo<")
    else:
        book.path.write_text(spoil, encoding="utf-8")
    before = book.path.read_bytes()
    for action in (book.take_over, lambda: book.rename(cluster(0))):
        with pytest.raises(ClusterFileError, match=str(book.path)):
            action()
    again = ClusterBook(folder, shipped)
    for kept in (book, again):
        assert kept.in_force.clusters[1].cluster_name == "own scanner"
    assert again.path.read_bytes() == before  # it is the analyst's to mend


def test_names_of_another_model_are_not_taken(
    folder: Path, shipped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = ClusterBook(folder, shipped)
    edit(book, "SynScan (cluster 1)", "own scanner")
    book.take_over()
    other = write_clusters([cluster(0, "b" * 64), cluster(1, "b" * 64)], [])
    shipped.write_bytes(other)
    again = ClusterBook(folder, shipped)
    assert again.path.read_bytes() == other
    assert again.in_force.renamed == 0
    old = read_clusters(folder / "clusters.aaaaaaaaaaaa.owl")
    assert old.clusters[1].cluster_name == "own scanner"
    (line,) = [r.getMessage() for r in caplog.records]
    assert "model aaaaaaaaaaaa, analyzers use bbbbbbbbbbbb" in line
    again.path.write_bytes((folder / "clusters.aaaaaaaaaaaa.owl").read_bytes())
    with pytest.raises(ClusterFileError, match="model aaaaaaaaaaaa"):
        again.take_over()


def test_a_cluster_that_was_deleted_is_missed(folder: Path, shipped: Path) -> None:
    book = ClusterBook(folder, shipped)
    book.path.write_bytes(write_clusters([cluster(0)], []))
    with pytest.raises(ClusterFileError, match="1 clusters, the model has 2"):
        book.take_over()
