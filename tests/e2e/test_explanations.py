"""From captures to inferences: every inference has its explanation, and Pellet agrees with it."""

from __future__ import annotations

from ipaddress import ip_address

from agents.analyzer.core import load_model
from agents.knowledge.load import load_theory
from agents.offline.replay import Replay
from datasets.captures.pcap import read_capture
from datasets.recipe.traffic import NORMAL, SAMPLES, read_manifest
from ontology.chainer.chainer import Chainer
from ontology.reasoner.client import PelletWorker
from ontology.reasoner.inferences import Inferences
from ontology.reasoner.window import Window
from ontology.records import HostProfile, Incident
from tests.derivations import assert_explained, explained, lines_of

HONEYPOTS = ("192.0.2.80", "192.0.2.90", "2001:db8::50", "198.51.100.1", "198.51.100.2")


class Recorder:
    """The worker, and what it was asked and answered."""

    def __init__(self, worker: PelletWorker) -> None:
        self._worker = worker
        self.seen: list[tuple[Window, Inferences]] = []

    def reason(self, window: Window, timeout_s: float) -> Inferences:
        found = self._worker.reason(window, timeout_s)
        self.seen.append((window, found))
        return found


def test_every_inference_from_the_samples_is_explained_and_needs_each_fact() -> None:
    attacks = [sample for sample in read_manifest(SAMPLES) if sample.label != NORMAL]
    paths = {SAMPLES / sample.file for sample in attacks}
    starts = {path: int(next(iter(read_capture(path))).times_us[0]) for path in paths}
    hosts = tuple(
        HostProfile(id=f"urn:ontoidps:profile:{pot}", address=pot, roles=("Honeypot",))
        for pot in map(ip_address, HONEYPOTS)
    )
    with PelletWorker(load_theory()) as worker:
        theory, recorder = worker.theory, Recorder(worker)
        replay = Replay(load_model(), recorder, hosts=hosts)
        incidents = [
            record
            for path in sorted(paths, key=starts.__getitem__)
            for record in replay.capture(path)
            if isinstance(record, Incident)
        ]
        assert all(incident.rule in incident.explanation for incident in incidents)
        chainer = Chainer(theory.ntriples)
        one_of_each: dict[str, tuple[tuple[str, ...], list[bytes]]] = {}
        for window, found in recorder.seen:
            assert_explained(found, window, theory, chainer)
            for conclusion, why in explained(found).items():
                one_of_each.setdefault(why.rule, (conclusion, lines_of(why, window)))
        assert len(one_of_each) > 10
        # Pellet's own word, whole windows: once for each rule.
        with PelletWorker(theory, prefilter=False) as pellet:
            for conclusion, lines in one_of_each.values():

                def follows(lines: list[bytes], conclusion: tuple[str, ...] = conclusion) -> bool:
                    window = Window(b"\n".join(lines) + b"\n", 1)
                    return conclusion in explained(pellet.reason(window, 30.0))

                assert follows(lines), conclusion
                for one in lines:
                    assert not follows([line for line in lines if line != one]), (conclusion, one)
