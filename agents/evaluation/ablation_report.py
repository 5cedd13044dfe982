"""The report of an ablation: what each source of knowledge is worth on each data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.evaluation.ablation import Change, Source, Told, compare, idle
from agents.evaluation.report import Page, Table

_COLUMNS = (
    *("without", "recall", "named", "false incidents", "incidents", "lost", "new"),
    *("severities", "decisions", "lost ", "new ", "false decisions", "seconds"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationPage(Page):
    """Runs with everything, and with each source off."""

    whole: Mapping[str, Told]
    """By data set, with every source."""
    changes: tuple[Change, ...]

    def result(self) -> dict[str, Any]:
        """``{"whole": …, "ablations": …, "nothing": …, "severities_only": …}``."""
        nothing, weights = idle(self.changes)
        return {
            "whole": [
                compare("", "everything", name, told, told).as_json()
                for name, told in self.whole.items()
            ],
            "ablations": [change.as_json() for change in self.changes],
            "nothing": nothing,
            "severities_only": weights,
        }


def ablation_report(
    whole: Mapping[str, Told],
    without: Mapping[str, Sequence[tuple[Source, Told]]],
    seconds: float,
) -> AblationPage:
    """All that is to be said of these runs.

    Args:
        whole: by data set, with every source.
        without: by data set, with one source off.
    """
    changes: list[Change] = []
    tables: list[Table] = []
    for name, base in whole.items():
        some = [compare(s.name, s.how, name, base, told) for s, told in without[name]]
        changes += some
        rows = (compare("(nothing)", "", name, base, base), *some)
        tables.append(
            Table(
                name,
                _COLUMNS,
                tuple(_row(change) for change in rows),
                "recall: attacks (alert sets: related alerts) in incidents; named: captures whose "
                "alerts name class and attacker; lost and new: incidents, then decisions, against "
                "the first row; severities: incidents that only weigh otherwise.",
            )
        )
    hows = {change.source: change.how for change in changes}
    tables.append(Table("How each is switched off", ("without", "how"), tuple(hows.items())))
    nothing, weights = idle(changes)
    notes = [f"Without {name} no incident, decision or severity changes." for name in nothing]
    notes += [f"Without {name} severities change, and nothing else." for name in weights]
    return AblationPage(
        dataset="ablation",
        seconds=seconds,
        tables=tuple(tables),
        plots=(),
        notes=tuple(notes) or ("Every source changes incidents or decisions.",),
        whole=dict(whole),
        changes=tuple(changes),
    )


def _row(change: Change) -> tuple[str | int | float | None, ...]:
    return (
        change.source,
        change.recall,
        change.named,
        change.false_incidents,
        change.incidents,
        change.incidents_lost,
        change.incidents_new,
        change.severities_changed,
        change.decisions,
        change.decisions_lost,
        change.decisions_new,
        change.false_decisions,
        round(change.seconds, 2),
    )
