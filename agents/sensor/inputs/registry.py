"""Parsers by name: every entry point of the group ``ontoidps.inputs``, ours and other packages'."""

from __future__ import annotations

from agents import plugins
from agents.plugins import PluginError
from agents.sensor.inputs.events import Options, Parser

InputError = PluginError
"""An input can't be used; the message is one line."""


def known_inputs() -> tuple[str, ...]:
    """Names of all installed kinds of log, sorted."""
    return plugins.known(plugins.INPUTS)


def make_parser(kind: str, options: Options) -> Parser:
    """Raises: InputError if there is no such kind, or its plug-in can't be loaded."""
    parser: Parser = plugins.load(plugins.INPUTS, kind)(options)
    return parser
