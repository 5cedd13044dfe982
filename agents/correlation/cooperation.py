"""Cooperation: what the decisions of other correlation agents are worth here. Pure.

Another cell publishes a decision with its incident and alerts. It is judged by this cell's own
policy, and its evidence by this cell's own rules; then the gateway of this node is ordered. Until
own evidence, a second cell or the supervisor confirms it, such a block lasts `ALONE_S` at most: a
cell that errs or lies blocks an address elsewhere for a minute, not for a day.
"""

from __future__ import annotations

import uuid
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace

from agents.base.protected import Protected, canonical
from agents.settings.honeynet import Policy
from agents.settings.modes import Modes
from ontology.reasoner.window import check_alert
from ontology.records import Address, Alert, Block, Decision, Incident

ALONE_S = 60
"""The longest block on the word of one cell alone."""
AGAIN_US = 600_000_000
"""So long the same cell's word about the same source is not acted on again, unless confirmed."""
MAX_JUDGED = 120
"""Publications of one cell that are judged in a minute: each takes a window of the reasoner."""
MAX_SOURCES = 1000
"""Sources on which the word of one cell is remembered; the oldest word goes first."""
MAX_ALERTS = 64
"""Alerts of one publication."""
MAX_REASON = 4000
_MINUTE_US = 60_000_000
_NAMESPACE = uuid.UUID("8f4f6a0e-55a1-5c53-9a51-6d1d2c2a9d10")


@dataclass(frozen=True, slots=True)
class Publication:
    """One decision that another cell published, with what it rests on."""

    cell: str
    """Bare JID of the correlation agent that signed it."""
    decision: Decision
    incident: Incident | None
    alerts: tuple[Alert, ...]

    @property
    def evidence(self) -> tuple[Alert, ...]:
        """The alerts that the incident rests on, name the source and could not be forged."""
        if self.incident is None:
            return ()
        source = canonical(self.decision.source)
        return tuple(
            alert
            for alert in self.alerts
            if alert.id in self.incident.alerts
            and alert.verified_source
            and alert.source is not None
            and canonical(alert.source) == source
        )


def publications(cell: str, records: Iterable[object]) -> list[Publication]:
    """The decisions of one message, each with the incident and the alerts that came along."""
    records = list(records)
    incidents = {r.id: r for r in records if isinstance(r, Incident)}
    alerts = tuple(r for r in records if isinstance(r, Alert))
    return [
        Publication(cell, r, incidents.get(r.incident or ""), alerts)
        for r in records
        if isinstance(r, Decision)
    ]


@dataclass(frozen=True, slots=True)
class _Word:
    """What one cell said of one source."""

    decision: Decision
    until_us: int
    """By this cell's clock."""
    acted_us: int
    """When the gateway was last ordered on this word."""


class Cooperation:
    """The words of other cells, bounded per cell.

    Args:
        own: bare JID of this correlation agent.
        cells: bare JIDs of the others; nobody else is heard.
        policy: minimum severity, longest block.
        protected: who is never blocked.
        counters: counts here.
    """

    def __init__(
        self,
        own: str,
        cells: Iterable[str],
        policy: Policy,
        protected: Protected,
        counters: Counter[str],
    ) -> None:
        self._own = own
        self._policy = policy
        self._protected = protected
        self._counters = counters
        self._words: dict[str, OrderedDict[Address, _Word]] = {
            cell: OrderedDict() for cell in cells
        }
        self._judged: dict[str, deque[int]] = {cell: deque() for cell in self._words}
        self._confirmed: OrderedDict[Address, int] = OrderedDict()
        """Source → until when the gateway was ordered on confirmed words."""

    def set_protected(self, protected: Protected) -> None:
        """Other knowledge of who is never blocked, from the next publication on."""
        self._protected = protected

    def refusal(self, publication: Publication, now_us: int) -> str | None:
        """Why a publication is not even worth a look at its evidence; None if it is."""
        decision, incident = publication.decision, publication.incident
        if publication.cell not in self._words:
            return "it comes from no other cell"
        if decision.origin != publication.cell or decision.scope != "own":
            return "it is not the cell's own decision"
        if decision.action != "block":
            return "it is no block"
        if incident is None:
            return "its incident is missing"
        if incident.severity < self._policy.minimum_severity:
            return (
                f"severity {incident.severity:.2f}, at least "
                f"{self._policy.minimum_severity:.2f} is needed"
            )
        if (refusal := self._protected.refusal(decision.source)) is not None:
            return refusal
        held = Modes(named=self._policy.modes).of_reason(incident.classification, incident.rule)
        if held.mode != "enforce":
            return held.words
        if _end_us(decision, now_us) <= now_us:
            return "its time is over"
        if len(publication.alerts) > MAX_ALERTS:
            return f"{len(publication.alerts)} alerts, at most {MAX_ALERTS} are looked at"
        if not publication.evidence:
            return "no alert of its incident is a verified one of that source"
        try:
            for alert in publication.alerts:
                check_alert(alert)
        except ValueError as e:
            return str(e)
        return None if self._take_turn(publication.cell, now_us) else "too many in a minute"

    def accept(
        self, publication: Publication, called: Set[str], now_us: int, *, seen: bool
    ) -> Decision | None:
        """The order for the own gateway that a publication leads to, if it leads to one.

        Args:
            called: ids of its alerts whose sources this cell's own rules want blocked.
            seen: whether this cell has evidence of its own against the source.
        """
        if called.isdisjoint(alert.id for alert in publication.evidence):
            self._counters["cooperation_not_convinced"] += 1
            return None
        decision, cell = publication.decision, publication.cell
        source = canonical(decision.source)
        words = self._words[cell]
        before = words.get(source)
        words[source] = _Word(
            decision, _end_us(decision, now_us), 0 if before is None else before.acted_us
        )
        words.move_to_end(source)
        while len(words) > MAX_SOURCES:
            words.popitem(last=False)
        if seen:
            return self.confirm(source, "evidence of its own", now_us)
        cells = self._speaking(source, now_us)
        if len(cells) > 1:
            return self.confirm(source, " and ".join(sorted(cells)), now_us)
        if now_us - words[source].acted_us < AGAIN_US:
            self._counters["cooperation_alone"] += 1
            return None
        words[source] = replace(words[source], acted_us=now_us)
        return self._order(
            words[source], now_us + ALONE_S * 1_000_000, now_us, f"{cell} alone says so"
        )

    def confirm(self, source: Address, by: str, now_us: int) -> Decision | None:
        """Somebody else has reason to block a source: the words about it count in full.

        Answers an order for the own gateway, if a word stands that makes its block longer.
        """
        source = canonical(source)
        spoken = self._speaking(source, now_us)
        if not spoken:
            return None
        word = max(spoken.values(), key=lambda w: (w.until_us, w.decision.id))
        if self._confirmed.get(source, 0) >= word.until_us:
            return None
        self._confirmed[source] = word.until_us
        self._confirmed.move_to_end(source)
        while len(self._confirmed) > MAX_SOURCES * len(self._words):
            self._confirmed.popitem(last=False)
        return self._order(word, word.until_us, now_us, f"confirmed by {by}")

    def on_ruling(self, ruling: Block, by: str, now_us: int) -> Decision | None:
        """The supervisor has a block in force; if by the very decision of a cell, it confirms it.

        Not by any other: it also reports blocks that cells made on each other's word.
        """
        spoken = self._speaking(canonical(ruling.source), now_us)
        if ruling.state != "active" or all(
            word.decision.id != ruling.decision for word in spoken.values()
        ):
            return None
        return self.confirm(ruling.source, by, now_us)

    def ended(self, source: Address) -> None:
        """A block was lifted: what was said until now no longer counts."""
        source = canonical(source)
        self._confirmed.pop(source, None)
        for words in self._words.values():
            words.pop(source, None)

    def _speaking(self, source: Address, now_us: int) -> dict[str, _Word]:
        """The cells whose word about a source still stands."""
        return {
            cell: words[source]
            for cell, words in self._words.items()
            if source in words and words[source].until_us > now_us
        }

    def _order(self, word: _Word, until_us: int, now_us: int, why: str) -> Decision:
        theirs = word.decision
        seconds = min(until_us, word.until_us) - now_us
        self._counters["cooperative_decisions"] += 1
        reason = f"Published by {theirs.origin} (decision {theirs.id}); {why}.\n{theirs.reason}"
        return Decision(
            # Another one when it is confirmed: a gateway lengthens no block for a known decision.
            id=f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{theirs.id}|{self._own}|{why}')}",
            action="block",
            source=theirs.source,
            target=theirs.target,
            classification=theirs.classification,
            incident=theirs.incident,
            origin=self._own,
            decided_us=now_us,
            duration_s=max(1, min(seconds // 1_000_000, self._policy.maximum_duration)),
            reason=reason[:MAX_REASON],
            scope="cooperative",
        )

    def _take_turn(self, cell: str, now_us: int) -> bool:
        judged = self._judged[cell]
        # What lies in the future was judged before the clock was set back.
        while judged and not now_us - _MINUTE_US < judged[0] <= now_us:
            judged.popleft()
        if len(judged) >= MAX_JUDGED:
            return False
        judged.append(now_us)
        return True


def _end_us(decision: Decision, now_us: int) -> int:
    """When a block ends that was ordered when it was decided, by a clock that is not ahead."""
    return min(decision.decided_us, now_us) + decision.duration_s * 1_000_000
