"""The side of an agent that reasons with what the ontology agent announces.

It follows one ontology agent, takes exactly the version that was announced or refuses it with the
line why, and starts again with the last good one. Files of its own host count only until it has
heard of any other.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from agents.knowledge.files import FileSet, shipped_files
from agents.knowledge.knowledge_store import Kept, KnowledgeStore
from agents.knowledge.load import RuleSet, load_rule_set, one_line
from agents.knowledge.pieces import Assembly, PieceError
from agents.settings.honeynet import Policy
from ontology.reasoner.inferences import ReasonerUnavailable
from ontology.records import KnowledgePiece, OntologyChanged, Record, Subscription
from ontology.taxonomy import put_in_force

logger = logging.getLogger(__name__)

TOPIC = "OntologyChanged"
"""Of the subscription to new versions."""
MAX_REASON = 1000
DIGEST = "digest"
"""Mark of a version that failed: over all its files."""


@dataclass(frozen=True, slots=True)
class Report:
    """What the ontology agent is told of an announcement."""

    receiver: str
    performative: str
    """``inform``: it is in force; ``refuse``: it is not, for the reason in ``record.detail``;
    ``failure``: it was, and was taken back for that reason."""
    record: OntologyChanged
    conversation_id: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """A version of which all pieces are there; nothing about it is checked yet."""

    pieces: Assembly
    conversation_id: str


class KnowledgeReceiver:
    """What is in force here, and what is on its way.

    `hear` and `arrived` belong to the event loop; `start` and `take_over` block, and belong to the
    thread that reasons.

    Args:
        folder: for the last good version.
        follows: bare JID of the ontology agent.
        policy: says which of the shipped rules are in force.
        counters: the agent's; ``rules_loaded`` and ``rules_refused`` count announced versions.
    """

    def __init__(
        self,
        folder: Path,
        *,
        follows: str,
        policy: Policy,
        counters: Counter[str],
    ) -> None:
        self._store = KnowledgeStore(folder)
        self.follows = follows
        """Bare JID of the ontology agent whose word counts."""
        self._policy = policy
        self._counters = counters
        self._incoming: Assembly | None = None
        self._arrived: Arrived | None = None
        self._changed_us = 0
        """Of the newest announcement that was heard."""
        self._files: FileSet | None = None
        """In force."""
        self._change: tuple[OntologyChanged, str] | None = None
        """The announcement of what is in force, with its conversation; None if it had none."""
        self.before: tuple[RuleSet, FileSet] | None = None
        """What was in force before, to go back to."""
        self.rules: RuleSet | None = None
        """In force."""
        self.version = ""
        """In force."""
        self.digest = ""
        """Of all files of the version in force."""

    def start(self) -> RuleSet:
        """The last good version, or the shipped files if none was ever announced.

        Raises: ValueError with one line that names the file, OSError: neither is any good.
        """
        found = self._store.read()
        if found is not None:
            kept, files = found
            try:
                rules = load_rule_set(self._store.lay_out(files), files.digest)
            except (ValueError, OSError) as e:
                logger.error("the last good version %s is of no use any more: %s", kept.version, e)
            else:
                if kept.origin == self.follows:
                    self._changed_us = kept.changed_us
                return self._in_force(rules, files)
        files = shipped_files(self._policy)
        folder = self._store.lay_out(files)
        rules = load_rule_set(folder, files.digest)
        return self._in_force(rules, files)

    def subscription(self, name: str) -> Subscription:
        """The wish for new versions, which says what is in force here already."""
        return Subscription(id=name, topic=TOPIC, digest=self.digest)

    def hear(self, sender: str, conversation_id: str, records: Sequence[Record]) -> Report | None:
        """Take an announcement with its pieces, or some of them; what to answer at once, if
        anything."""
        if sender != self.follows:
            logger.warning("%s announces rules, but we follow %s", sender, self.follows or "nobody")
            return None
        for change in records:
            if isinstance(change, OntologyChanged) and change.kind == "rules":
                break
        else:
            return None
        if change.changed_us < self._changed_us:
            return None  # a newer one has overtaken it
        self._changed_us = change.changed_us
        if change.digest == self.digest:
            return Report(sender, "inform", _answer(change), conversation_id)
        if why := self._store.why_refused({DIGEST: change.digest}):
            return Report(sender, "failure", _answer(change, why), conversation_id)
        try:
            incoming = self._incoming
            if incoming is None or incoming.change != change:
                incoming = self._incoming = Assembly(change)
            for piece in records:
                if isinstance(piece, KnowledgePiece):
                    incoming.add(piece)
        except PieceError as e:
            self._incoming = None
            return self._refuse(change, conversation_id, e)
        if not incoming.missing:
            self._incoming = None
            self._arrived = Arrived(incoming, conversation_id)
        return None

    def arrived(self) -> Arrived | None:
        """A version for `take_over`, once; the newest if several have come."""
        arrived, self._arrived = self._arrived, None
        return arrived

    def take_over(self, arrived: Arrived, use: Callable[[RuleSet], None]) -> Report | None:
        """Check a version, use it and keep it; or refuse it, and what was in force stays.

        None, and nothing done, if a newer announcement was heard meanwhile: it may have said that
        what is in force is right again.

        Args:
            use: puts it in force; raises ValueError or ReasonerUnavailable if it can't, and must
                have changed nothing then.
        """
        change, conversation_id = arrived.pieces.change, arrived.conversation_id
        if change.changed_us < self._changed_us:
            return None
        if change.digest == self.digest:  # it came twice
            return Report(self.follows, "inform", _answer(change), conversation_id)
        try:
            files = arrived.pieces.files()
            rules = load_rule_set(self._store.lay_out(files), files.digest)
            if rules.version != change.version:
                raise ValueError(f"announced as {change.version[:80]!r}, but is {rules.version}")
            use(rules)
        except (ValueError, OSError, ReasonerUnavailable) as e:
            return self._refuse(change, conversation_id, e)
        if self.rules is not None and self._files is not None:
            if self.rules.theory != rules.theory:  # else what is before that is what counts
                self.before = self.rules, self._files
        self._in_force(rules, files)
        self._change = change, conversation_id
        self._counters["rules_loaded"] += 1
        kept = Kept(
            version=rules.version,
            digest=rules.digest,
            origin=self.follows,
            changed_us=change.changed_us,
        )
        try:
            self._store.keep(kept)
        except OSError as e:
            # In force all the same; after a restart the ontology agent sends it again.
            logger.warning("version %s can't be kept: %s", rules.version, e)
        return Report(self.follows, "inform", _answer(change), conversation_id)

    def go_back(self, why: str) -> Report | None:
        """To what was in force before, which is in use again; what failed is refused from now on.

        Args:
            why: one line, for people.
        """
        assert self.before is not None  # noqa: S101
        (rules, files), failed, change = self.before, self.digest, self._change
        self.before, self._change = None, None
        self._in_force(rules, files)
        self._counters["rules_taken_back"] += 1
        kept = Kept(
            version=rules.version,
            digest=rules.digest,
            origin=self.follows,
            changed_us=self._changed_us,
        )
        try:
            self._store.refuse({DIGEST: failed}, why[:MAX_REASON])
            self._store.lay_out(files)
            self._store.keep(kept)
        except OSError as e:
            logger.warning("that version %s is back can't be kept: %s", rules.version, e)
        if change is None:
            return None
        return Report(self.follows, "failure", _answer(change[0], why), change[1])

    def _in_force(self, rules: RuleSet, files: FileSet) -> RuleSet:
        self.rules, self._files = rules, files
        self.version, self.digest = rules.version, rules.digest
        put_in_force(rules.taxonomy)
        return rules

    def _refuse(self, change: OntologyChanged, conversation_id: str, error: Exception) -> Report:
        why = one_line(ValueError(str(error)))
        self._counters["rules_refused"] += 1
        logger.error("version %.80s is refused, %s stays in force: %s", change.version,
                     self.version, why)  # fmt: skip
        return Report(self.follows, "refuse", _answer(change, why), conversation_id)


def _answer(change: OntologyChanged, why: str = "") -> OntologyChanged:
    return replace(change, piece_count=0, detail=why[:MAX_REASON])
