"""Kinds that no sample ships of: recorded by their real tools in a laboratory, then replayed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from agents.analyzer.core import AnalyzerCore, load_model
from agents.commands.train import connection_batches
from datasets.laboratory.network import why_unavailable
from datasets.recipe.scenario_traffic import Scenario
from datasets.recipe.traffic import NORMAL, UNTRAINED, Sample, read_manifest
from ontology.records import Alert, ConnectionBatch
from ontology.taxonomy import ATTACK_CLASSES

NEEDED = (
    *("nmap", "tcpdump", "hydra", "hping3", "curl", "ptunnel", "dns2tcpc", "atk6-flood_router6"),
    *("redis-cli", "svmap", "svcrack", "mbpoll"),
)
TOOLS = [tool for tool in NEEDED if shutil.which(tool) is None]
ACTIONABLE = 0.5
SANDBOXES = 3
"""At work at once: most of the time a scenario waits."""
NAMES = tuple(scenario.name for scenario in UNTRAINED)


def test_scenarios_are_named_once_and_labelled_with_known_classes() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for scenario in UNTRAINED:
        assert scenario.label in ATTACK_CLASSES | {NORMAL}
        assert (scenario.label == NORMAL) == (scenario.attacker == "")
        assert scenario.name.startswith("benign-") == (scenario.label == NORMAL)


def made_with(scenario: Scenario) -> str:
    """The program that acts in it; our own stand-ins are written large."""
    words = scenario.command.split()
    word = words[2 if words[0] == "timeout" else 0]
    return f"{word.lower()} (ours)" if word.isupper() else word


def test_the_documents_list_them_all() -> None:
    """What the two tests below hold is told."""
    text = (Path(__file__).parents[3] / "docs/detection.md").read_text(encoding="utf-8")
    lines = text.partition("## In the laboratory")[2].splitlines()
    told = [tuple(c.strip() for c in line.strip("|").split("|")) for line in lines if "|" in line]
    named = {"*": "nobody (forged)", "": ""}
    assert told[2:] == [
        (
            s.name,
            s.label if s.label != NORMAL else "nothing above low",
            named.get(s.attacker, s.attacker),
            made_with(s),
        )
        for s in UNTRAINED
    ]


def recorded(out: Path) -> None:
    """Each sandbox to a folder of its own."""
    command = [sys.executable, "-m", "datasets.recipe.traffic"]
    recipes = [
        subprocess.Popen(
            [*command, os.fspath(out / str(number)), *(f"--only={name}" for name in names)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(SANDBOXES)
        if (names := NAMES[number::SANDBOXES])
    ]
    said = [recipe.communicate(timeout=600)[1] for recipe in recipes]
    assert not any(recipe.returncode for recipe in recipes), said


@pytest.fixture(scope="module")
def samples(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> dict[str, tuple[Sample, Path]]:
    """All of them by name, recorded once, also where several test processes share the tests."""
    if why := why_unavailable():
        pytest.skip(f"no laboratory: {why}")
    if TOOLS:
        pytest.skip(f"missing tools: {', '.join(TOOLS)}")
    own = tmp_path_factory.getbasetemp()
    out = (own if worker_id == "master" else own.parent) / "untrained"
    out.mkdir(exist_ok=True)
    with (out / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not (out / "done").exists():
            recorded(out)
            (out / "done").touch()
    folders = [path.parent for path in sorted(out.glob("*/manifest.tsv"))]
    return {
        sample.file.removesuffix(".pcap.xz"): (sample, folder / sample.file)
        for folder in folders
        for sample in read_manifest(folder)
    }


def at_a_steady_pace(batches: Iterable[ConnectionBatch]) -> Iterator[ConnectionBatch]:
    """One connection a second, as nping was told: a busy machine lets it wait for its turn."""
    first_us, number = 0, 0
    for batch in batches:
        rows = batch.connections.copy()
        first_us = first_us or int(rows["start_us"].min(initial=2**62))
        order = np.argsort(rows["start_us"], kind="stable")
        rows["start_us"][order] = first_us + (number + np.arange(len(rows))) * 1_000_000
        number += len(rows)
        yield replace(batch, connections=rows)


@cache
def alerts_of(path: Path, honeypots: tuple[str, ...] = ()) -> tuple[Alert, ...]:
    core = AnalyzerCore(
        load_model(), analyzer="analyzer", honeypots=[ip_address(pot) for pot in honeypots]
    )
    own: list[Alert] = []
    batches: Iterable[ConnectionBatch] = connection_batches(path, alerts=own)
    if path.name.startswith("beacon"):
        batches = at_a_steady_pace(batches)
    found = [a for b in batches for a in core.on_batch(b)]
    return (*found, *own)


def honeypots_of(sample: Sample) -> tuple[str, ...]:
    """Whoever is compromised there, or offers what nobody needs."""
    if sample.file.startswith("honeypot-"):
        return (sample.victim,)
    return (sample.attacker,) if sample.label.startswith("Outgoing") else ()


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_found_with_its_class_and_nobody_else_accused(
    samples: dict[str, tuple[Sample, Path]], name: str
) -> None:
    sample, path = samples[name]
    found = alerts_of(path, honeypots_of(sample))
    strong = [a for a in found if a.confidence >= ACTIONABLE]
    if sample.label == NORMAL:
        assert strong == []
        return
    expected = set(sample.attackers) or {None}
    right = [a for a in strong if a.classification == sample.label]
    assert {a.source for a in right} == expected
    # Whoever is named besides is the attacker under another class.
    assert {a.source for a in strong} <= expected
    if expected == {None}:
        assert not any(a.verified_source for a in right)


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_replay_names_class_and_attacker_of_each(
    samples: dict[str, tuple[Sample, Path]],
) -> None:
    """As a user asks: one command over all captures."""
    asked = [(s, path) for s, path in samples.values() if not honeypots_of(s)]
    command = [sys.executable, "-m", "agents.main", "replay", "--json"]
    command += [os.fspath(path) for _, path in asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = {(line["class"], line["source"]) for line in lines if line["type"] == "alert"}
    for sample, _ in asked:
        if sample.label != NORMAL:
            for attacker in sample.attackers or (None,):
                assert (sample.label, attacker and str(attacker)) in found, sample.file
