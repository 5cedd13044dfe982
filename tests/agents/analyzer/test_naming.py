"""Names that people gave clusters: for this model only, in alerts and agreement, kept on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.analyzer.core import load_model
from agents.analyzer.labelled_cases import clusters_of
from agents.analyzer.naming import KeptNames, NamingError, model_digest, names_for
from ontology.clusters_file import clusters_path, read_clusters
from ontology.records import OntologyChanged
from ontology.traffic_cluster import TrafficCluster


def test_the_shipped_names_are_for_the_shipped_model() -> None:
    """Fails after a training until `ontoidps train` or `ontoidps ontology clusters` is run."""
    model = load_model()
    shipped = read_clusters(clusters_path()).clusters
    assert shipped[0].model_digest == model_digest(model)
    labels, names = names_for(shipped, digest=model_digest(model), count=len(model.labels))
    assert labels == model.labels
    assert set(names) == {""}
    for made, read in zip(clusters_of(model), shipped, strict=True):
        assert made.purity == pytest.approx(read.purity, abs=1e-5)
        assert replace(made, purity=0, radius=0) == replace(read, purity=0, radius=0, case_count=0)


def test_another_model_has_another_digest(bench: Any, tmp_path: Path) -> None:
    model = bench.blank_model("SynScan", purity=0.5)
    model.save(tmp_path / "model.npz")
    assert model_digest(load_model(tmp_path / "model.npz")) == model_digest(model)
    for changed in (
        replace(model, labels=("AckScan",)),
        replace(model, purity=np.array([0.6])),
        replace(model, centers=model.centers + 1e-12),
    ):
        assert model_digest(changed) != model_digest(model)


def renamed(model: Any, name: str, label: str) -> list[TrafficCluster]:
    (cluster,) = clusters_of(model)
    return [replace(cluster, cluster_name=name, traffic_class=label)]


def test_a_new_name_and_class_are_used_from_the_next_batch_on(bench: Any) -> None:
    model = bench.blank_model("SynScan", purity=1.0)
    core = bench.core(model)

    def scan(source: str) -> Any:
        rows = [
            bench.connection(at=0.01 * i, src=source, dst_port=i, state="REJ") for i in range(30)
        ]
        (alert,) = (a for a in core.on_batch(bench.batch(rows)) if "Scan" in a.classification)
        return alert

    before = scan("192.0.2.1")
    assert "cluster 0 (SynScan, purity 1.00)" in before.explanation
    wanted = renamed(model, "own scanner", "Normal")
    core.set_names(*names_for(wanted, digest=model_digest(model), count=1))
    after = scan("192.0.2.2")
    assert 'cluster 0 ("own scanner", Normal, purity 1.00)' in after.explanation
    assert after.confidence < before.confidence


@pytest.mark.parametrize(
    ("label", "expected"),
    [("SynScan", 1.0), ("Scan", 1.0), ("Normal", -1.0), ("SynFlood", 0.0), ("HoneypotContact", 0)],
)
def test_any_class_of_traffic_has_its_say(bench: Any, label: str, expected: float) -> None:
    model = replace(bench.blank_model(purity=1.0), labels=(label,))
    assert model.agreement("AckScan", np.array([3])) == expected


def test_names_of_another_model_are_refused(bench: Any) -> None:
    model = bench.blank_model("SynScan")
    wanted = renamed(model, "own scanner", "SynScan")
    with pytest.raises(NamingError, match=r"cluster names of model .* refused"):
        names_for(wanted, digest="0" * 64, count=1)
    with pytest.raises(NamingError, match="names for 1 clusters refused, the model has 2"):
        names_for(wanted, digest=model_digest(model), count=2)


def test_names_are_kept(bench: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    change = OntologyChanged(id="urn:uuid:1", version="clusters+0", changed_us=7, detail="")
    records = (change, *renamed(bench.blank_model("SynScan"), "own scanner", "Normal"))
    kept = KeptNames(tmp_path / "names.ttl")
    assert kept.load() == ()
    kept.save(records)
    assert KeptNames(tmp_path / "names.ttl").load() == records
    assert caplog.records == []
    (tmp_path / "names.ttl").write_text("<half")
    assert kept.load() == ()
    assert "names.ttl is unreadable" in caplog.text
