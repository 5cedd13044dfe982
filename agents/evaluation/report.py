"""One evaluation as text, as JSON and as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from agents.evaluation.metrics import Metrics, Outcomes
from agents.evaluation.plots import Plot, clean

Cell = str | int | float | None

_STYLE = """
body{font:15px/1.5 sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:#222}
div.wide{overflow-x:auto}table{border-collapse:collapse;margin:.5rem 0;font-size:.9rem}
th,td{border:1px solid #ccc;padding:.15rem .5rem;text-align:right;vertical-align:top;
font-variant-numeric:tabular-nums}
th{background:#f0f3f7}td:first-child,th:first-child,.words{text-align:left}
td.words{overflow-wrap:break-word;min-width:5rem}p{max-width:60rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
div.plots{display:flex;flex-wrap:wrap;gap:0 2rem}svg{max-width:100%;height:auto}
"""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells are numbers or words; rates are floats and shown with four digits."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Everything that one evaluation has to say."""

    dataset: str
    seconds: float
    """Wall-clock time, training included."""
    tables: tuple[Table, ...]
    plots: tuple[Plot, ...]
    notes: tuple[str, ...]
    """How it was measured, and where it is weak."""

    def result(self) -> dict[str, Any]:
        """What was measured, as JSON."""
        raise NotImplementedError

    def contract(self) -> dict[str, Any]:
        """The object of ``--json``."""
        return {"dataset": self.dataset, **self.result(), "seconds": round(self.seconds, 3)}

    def details(self) -> dict[str, Any]:
        """The same with all tables and notes."""
        tables = [
            {"title": t.title, "columns": t.columns, "rows": t.rows, "note": t.note}
            for t in self.tables
        ]
        return self.contract() | {"tables": tables, "notes": self.notes}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Page):
    """The evaluation of a detector: verdicts against truth."""

    metrics: Metrics

    def result(self) -> dict[str, Any]:
        """``{"metrics": …}``."""
        return {"metrics": self.metrics.as_json()}


def table4(rows: Sequence[tuple[str, Outcomes, float | None]], unit: str) -> Table:
    """The papers' Table 4: what was judged, how it was judged, seconds."""
    return Table(
        "Table 4 of the paper: classification",
        ("classifier", f"PkG ({unit})", "VP", "FP", "FN", "U", "ET (s)", "E (%)"),
        tuple(
            (
                name,
                o.total,
                o.true_positives,
                o.false_positives,
                o.false_negatives,
                o.uncertain,
                None if seconds is None else round(seconds, 2),
                round(o.efficiency, 2),
            )
            for name, o, seconds in rows
        ),
        "VP true positives, FP false and FN missed alarms, U uncertain, ET time to judge them all. "
        "E = 100·(|D| - FP - FN - U)/|D|; true negatives are the rest.",
    )


def summary(metrics: Metrics) -> tuple[Table, Table]:
    """The headline and the classes."""
    head = Table(
        "Result",
        ("accuracy", "detection rate", "false-alarm rate", "uncertain share", "efficiency (%)"),
        (
            (
                metrics.accuracy,
                metrics.detection_rate,
                metrics.false_alarm_rate,
                metrics.uncertain_share,
                round(metrics.efficiency, 2),
            ),
        ),
        "Every record counts for the first three, an uncertain one by its tentative verdict; "
        "efficiency charges every uncertain record as an error.",
    )
    with_new = any(c.new_records is not None for c in metrics.per_class.values())
    columns: tuple[str, ...] = ("class", "records", "recall", "classified", "precision")
    columns += ("uncertain",)
    rows: list[tuple[Cell, ...]] = []
    for name, c in metrics.per_class.items():
        row: tuple[Cell, ...] = (name, c.records, c.recall, c.classified, c.precision)
        row += (c.uncertain_share,)
        if with_new:
            row += (c.known_recall, c.new_records, c.new_recall)
        rows.append(row)
    if with_new:
        columns += ("recall of known types", "records of new types", "recall of new types")
    note = "recall: alarm of any class (normal: no alarm); classified: the very class."
    return head, Table("Classes", columns, tuple(rows), note)


def _shown(cell: Cell, decimals: int = 4) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.{decimals}f}"
    return clean(cell)


def _cells(table: Table) -> list[list[str]]:
    """All cells as shown; the numbers of a column have as many decimals as its largest can use."""
    decimals = []
    for i in range(len(table.columns)):
        column = [row[i] for row in table.rows]
        largest = max((abs(cell) for cell in column if isinstance(cell, float)), default=0.0)
        decimals.append(4 if largest <= 1.0 else 3 if largest < 10.0 else 2)
    return [
        [_shown(cell, many) for cell, many in zip(row, decimals, strict=True)] for row in table.rows
    ]


def _words(table: Table) -> list[bool]:
    """Which columns hold words."""
    return [any(isinstance(row[i], str) for row in table.rows) for i in range(len(table.columns))]


def as_text(report: Page) -> str:
    """For a terminal."""
    out = [f"{report.dataset}: {report.seconds:.1f} s"]
    for table in report.tables:
        out += ["", table.title]
        cells = [list(table.columns), *_cells(table)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
        words = _words(table)
        for row in cells:
            out.append(
                "  "
                + "  ".join(
                    cell.ljust(width) if word else cell.rjust(width)
                    for cell, width, word in zip(row, widths, words, strict=True)
                ).rstrip()
            )
        if table.note:
            out.append(f"  ({table.note})")
    for plot in report.plots:
        out += ["", plot.title, *("  " + line for line in plot.text.splitlines())]
    if report.notes:
        out += ["", "Notes", *(f"  - {_shown(note)}" for note in report.notes)]
    return "\n".join(out)


def as_html(report: Page) -> str:
    """One page that needs nothing else: no script, no request to anybody."""
    title = f"OntoIDPS evaluation: {_shown(report.dataset)}"
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1><p>{report.seconds:.1f} seconds in all.</p>",
    ]
    for table in report.tables:
        kinds = [" class=words" if word else "" for word in _words(table)]
        head = "".join(
            f"<th{kind}>{escape(name)}</th>"
            for name, kind in zip(table.columns, kinds, strict=True)
        )
        parts.append(f"<h2>{escape(table.title)}</h2><div class=wide><table><tr>{head}</tr>")
        for row in _cells(table):
            cells = "".join(
                f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)
            )
            parts.append(f"<tr>{cells}</tr>")
        parts.append("</table></div>")
        if table.note:
            parts.append(f"<p>{escape(table.note)}</p>")
    parts.append("<div class=plots>")
    for plot in report.plots:
        parts.append(f"<section><h2>{escape(plot.title)}</h2>{plot.svg}</section>")
    parts.append("</div>")
    if report.notes:
        notes = "".join(f"<li>{escape(_shown(note))}</li>" for note in report.notes)
        parts.append(f"<h2>Notes</h2><ul>{notes}</ul>")
    return "\n".join(parts) + "</body></html>\n"
