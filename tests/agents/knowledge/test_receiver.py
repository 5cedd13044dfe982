"""A receiver takes exactly what its ontology agent announced, or says why not."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agents.knowledge import pieces
from agents.knowledge.files import FileSet
from agents.knowledge.load import RuleSet
from agents.knowledge.pieces import by_message, split
from agents.knowledge.receiver import (
    KnowledgeReceiver,
    Report,
)
from agents.settings.honeynet import Policy
from ontology.reasoner.inferences import ReasonerUnavailable
from ontology.records import KnowledgePiece, OntologyChanged, Record

ONTOLOGY = "ontology.gw1@honeynet.test"
TABLE = "reaction_policy.tsv"


class Bench:
    """A receiver, and what it uses and says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.used: list[RuleSet] = []
        self.against = ""
        self.counters: Counter[str] = Counter()
        self.started: RuleSet
        self.receiver = self.restart()

    def restart(self, follows: str = ONTOLOGY) -> KnowledgeReceiver:
        self.receiver = KnowledgeReceiver(
            self._folder, follows=follows, policy=Policy(), counters=self.counters
        )
        self.started = self.receiver.start()
        return self.receiver

    def use(self, rules: RuleSet) -> None:
        if self.against:
            raise ReasonerUnavailable(self.against)
        self.used.append(rules)

    def hear(self, records: Sequence[Record], sender: str = ONTOLOGY) -> Report | None:
        """What is said at once, or else of what has arrived."""
        report = self.receiver.hear(sender, "a conversation", records)
        arrived = self.receiver.arrived()
        if arrived is None:
            return report
        assert report is None
        return self.receiver.take_over(arrived, self.use)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "rules")


def edited(shipped: FileSet, reason: str) -> FileSet:
    """Another table, which needs no other rules."""
    table = shipped.contents[TABLE]
    assert b"Bots that guess" in table
    return FileSet({**shipped.contents, TABLE: table.replace(b"Bots that guess", reason.encode())})


def announced(files: FileSet, at_us: int = 5) -> tuple[OntologyChanged, list[KnowledgePiece]]:
    change = OntologyChanged(
        id=uuid.uuid5(uuid.NAMESPACE_URL, files.digest).urn,
        version=f"1.0.0+{files.digest[:12]}",
        changed_us=at_us,
        detail="20 rules",
    )
    return split(change, files)


def messages(files: FileSet, at_us: int = 5) -> list[list[Record]]:
    change, parts = announced(files, at_us)
    return [[change, *group] for group in by_message(parts)]


def test_first_the_shipped_files_count_and_then_what_was_announced(
    bench: Bench, shipped: FileSet
) -> None:
    assert (bench.receiver.digest, bench.started.digest) == (shipped.digest, shipped.digest)
    assert bench.receiver.subscription("urn:uuid:1").digest == shipped.digest
    files = edited(shipped, "Who guesses")
    (message,) = messages(files)
    report = bench.hear(message)
    assert report is not None
    assert (report.receiver, report.performative) == (ONTOLOGY, "inform")
    assert (report.record.digest, report.record.detail) == (files.digest, "")
    (used,) = bench.used
    assert used.digest == files.digest == bench.receiver.digest
    assert bench.receiver.version == f"1.0.0+{files.digest[:12]}"
    assert bench.counters == {"rules_loaded": 1}
    bench.restart()
    assert bench.started.digest == files.digest, "a restart needs nobody"
    assert bench.started.playbook.reactions.rules == used.playbook.reactions.rules


def test_its_own_files_are_never_read_again(
    bench: Bench, shipped: FileSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = edited(shipped, "Who guesses")
    bench.hear(messages(files)[0])

    def never(_: Policy) -> FileSet:
        raise AssertionError("read from the package")

    monkeypatch.setattr("agents.knowledge.receiver.shipped_files", never)
    bench.restart()
    bench.hear(messages(edited(shipped, "They guess"), at_us=6)[0])
    assert len(bench.used) == 2


def test_what_is_in_force_already_is_only_confirmed(bench: Bench, shipped: FileSet) -> None:
    report = bench.hear(messages(shipped)[0])
    assert report is not None and report.performative == "inform" and bench.used == []
    assert not bench.counters


@pytest.mark.parametrize("order", ["as sent", "backwards", "repeated"])
def test_pieces_may_come_in_any_order_and_twice(
    bench: Bench, shipped: FileSet, order: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "MESSAGE_CHARACTERS", 20_000)
    files = edited(shipped, "Who guesses")
    sent = messages(files)
    assert len(sent) > 3
    sent = {"as sent": sent, "backwards": sent[::-1], "repeated": [*sent[:-1], *sent]}[order]
    reports = [report for message in sent if (report := bench.hear(message)) is not None]
    assert [report.performative for report in reports] == ["inform"]
    assert bench.receiver.digest == files.digest


def test_what_is_missing_is_asked_for_again(
    bench: Bench, shipped: FileSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "MESSAGE_CHARACTERS", 20_000)
    files = edited(shipped, "Who guesses")
    first, *others = messages(files)
    for message in others:
        assert bench.hear(message) is None
    # The next subscription still says what is in force: so it is sent again, from the start.
    assert bench.receiver.subscription("urn:uuid:1").digest == shipped.digest
    report = bench.hear(first)
    assert report is not None and report.performative == "inform"


def tamper(part: KnowledgePiece) -> KnowledgePiece:
    return replace(
        part, data=part.data[:40] + ("A" if part.data[40] != "A" else "B") + part.data[41:]
    )


HOSTILE: dict[str, tuple[Callable[[list[Record]], list[Record]], str]] = {
    "a piece changed on the way": (
        lambda m: [tamper(r) if isinstance(r, KnowledgePiece) else r for r in m],
        "attacks.owl: ",
    ),
    "another digest than announced": (
        lambda m: [replace(r, digest="0" * 64) if isinstance(r, OntologyChanged) else r for r in m],
        "the SHA-256 over all files",
    ),
    "another version than announced": (
        lambda m: [replace(r, version="9.9") if isinstance(r, OntologyChanged) else r for r in m],
        "announced as '9.9', but is 1.0.0+",
    ),
    "a path for a name": (
        lambda m: [
            replace(r, file_name="../../x.owl") if isinstance(r, KnowledgePiece) else r for r in m
        ],
        "'../../x.owl' is no name",
    ),
    "no pieces": (
        lambda m: [replace(r, piece_count=0) for r in m if isinstance(r, OntologyChanged)],
        "0 pieces announced",
    ),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_what_is_not_what_was_announced_is_refused_and_said(
    bench: Bench, shipped: FileSet, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    change, said = HOSTILE[how]
    good = messages(edited(shipped, "Who guesses"))[0]
    report = bench.hear(change(good))
    assert report is not None and report.performative == "refuse"
    assert report.record.detail.startswith(said) and "\n" not in report.record.detail
    assert (report.record.id, report.record.piece_count) == (good[0].id, 0)
    assert bench.used == [] and bench.receiver.digest == shipped.digest
    assert bench.counters == {"rules_refused": 1}
    (line,) = [r.getMessage() for r in caplog.records]
    assert f"1.0.0+{shipped.digest[:12]} stays in force" in line
    # The same version, sent again as it should be, is taken.
    report = bench.hear(good)
    assert report is not None and report.performative == "inform"


def test_what_can_not_be_reasoned_with_is_refused_with_the_line(
    bench: Bench, shipped: FileSet
) -> None:
    rules = shipped.contents["correlation.owl"].replace(
        b"swrlb#lessThanOrEqual", b"swrlb#addDayTimeDurations"
    )
    report = bench.hear(messages(FileSet({**shipped.contents, "correlation.owl": rules}))[0])
    assert report is not None and report.performative == "refuse"
    assert report.record.detail.startswith("correlation.owl: rule ")
    assert "addDayTimeDurations" in report.record.detail
    bench.against = "Pellet took 18 of 19 rules"
    files = edited(shipped, "Who guesses")
    report = bench.hear(messages(files, at_us=6)[0])
    assert report is not None and report.record.detail == "Pellet took 18 of 19 rules"
    assert bench.receiver.digest == shipped.digest
    bench.restart()
    assert bench.started.digest == shipped.digest
    # Sent again later, since it still asks; now Pellet is well.
    bench.against = ""
    report = bench.hear(messages(files, at_us=6)[0])
    assert report is not None and report.performative == "inform"


def test_of_two_versions_the_later_one_holds(bench: Bench, shipped: FileSet) -> None:
    older, newer = edited(shipped, "Who guesses"), edited(shipped, "They guess")
    bench.hear(messages(newer, at_us=9)[0])
    assert bench.hear(messages(older, at_us=8)[0]) is None
    assert bench.receiver.digest == newer.digest
    bench.restart()
    assert bench.hear(messages(older, at_us=8)[0]) is None
    assert bench.receiver.digest == newer.digest
    # Of another ontology agent, whose clock is its own, any version counts.
    other = "ontology.gw2@honeynet.test"
    bench.restart(follows=other)
    assert bench.started.digest == newer.digest
    bench.hear(messages(older, at_us=1)[0], sender=other)
    assert bench.receiver.digest == older.digest


def test_an_edit_that_was_taken_back_meanwhile_is_not_put_in_force(
    bench: Bench, shipped: FileSet
) -> None:
    """The thread that reasons was busy: first comes the edit, then that all is as it was."""
    (edit,) = messages(edited(shipped, "Who guesses"), at_us=5)
    (back,) = messages(shipped, at_us=6)
    assert bench.receiver.hear(ONTOLOGY, "a conversation", edit) is None
    arrived = bench.receiver.arrived()
    assert arrived is not None
    report = bench.receiver.hear(ONTOLOGY, "a conversation", back)
    assert report is not None and report.performative == "inform"
    assert bench.receiver.take_over(arrived, bench.use) is None
    assert not bench.used and bench.receiver.digest == shipped.digest


def test_nobody_but_the_agent_that_it_follows_is_listened_to(
    bench: Bench, shipped: FileSet
) -> None:
    message = messages(edited(shipped, "Who guesses"))[0]
    assert bench.hear(message, sender="ontology.gw2@honeynet.test") is None
    assert bench.hear([replace(message[0], kind="facts")]) is None  # type: ignore[type-var]
    assert bench.receiver.digest == shipped.digest and not bench.counters


def test_a_last_good_version_that_is_damaged_gives_way_to_the_shipped_one(
    bench: Bench, shipped: FileSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = edited(shipped, "Who guesses")
    bench.hear(messages(files)[0])
    (tmp_path / "rules" / files.digest[:32] / TABLE).write_text("x")
    bench.restart()
    assert bench.started.digest == shipped.digest
    assert "has been changed by somebody" in caplog.text
    report = bench.hear(messages(files)[0])
    assert report is not None and report.performative == "inform"


def test_broken_shipped_files_and_nothing_kept_is_one_clear_line(
    installed: Path, tmp_path: Path
) -> None:
    (installed / "correlation.owl").write_text("<half a sav")
    with pytest.raises(ValueError, match=r"^correlation\.owl: not RDF/XML"):
        Bench(tmp_path / "rules")
