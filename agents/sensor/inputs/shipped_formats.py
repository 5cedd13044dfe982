"""The formats that come as tables, by the names of their entry points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents.sensor.inputs.access_lines import read_access
from agents.sensor.inputs.events import Options, clean
from agents.sensor.inputs.format_tables import TableError, load_table, shipped_table
from agents.sensor.inputs.table_parser import TableParser


def table_input(
    kind: str, quick: Callable[[bytes], dict[str, Any] | None] | None = None
) -> Callable[[Options], TableParser]:
    """What an entry point names for a table that comes with the program."""

    def make(options: Options) -> TableParser:
        return TableParser(options, shipped_table(kind), quick=quick)

    return make


access = table_input("access", quick=read_access)
access_json = table_input("access-json")
adbhoney = table_input("adbhoney")
beelzebub = table_input("beelzebub")
ciscoasa = table_input("ciscoasa")
conpot = table_input("conpot")
ddospot = table_input("ddospot")
elasticpot = table_input("elasticpot")
endlessh = table_input("endlessh")
heralding = table_input("heralding")
honeypots = table_input("honeypots")
honeytrap = table_input("honeytrap")
mailoney = table_input("mailoney")
opencanary = table_input("opencanary")
redishoneypot = table_input("redishoneypot")
sentrypeer = table_input("sentrypeer")
tanner = table_input("tanner")


def own_table(options: Options) -> TableParser:
    """A format of the operator's own: the input names the file. Raises: TableError."""
    if options.table is None:
        raise TableError('an input of kind table needs the file: table = "….toml"')
    try:
        text = options.table.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise TableError(clean(f"{options.table}: {e}", 300)) from e
    return TableParser(options, load_table(text, options.table.stem))
