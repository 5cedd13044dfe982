"""An incident's alerts as one OWL file of the version in force, for the command and the page."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from agents.knowledge.load import taxonomy_of
from ontology.fragments import FragmentError, decode, encode
from ontology.oversight import USER_PREFIX
from ontology.reasoner.window import build_window
from ontology.reasoner.window_file import MAX_FILE_BYTES, WindowFileError, write_window
from ontology.records import Alert, HostProfile, OntologyAction
from ontology.taxonomy import tried
from ontology.theory import Theory
from rules.reactions.reaction_rules import (
    REACTIONS_FILE,
    Reactions,
    read_reactions,
    shipped_reactions,
)

MAX_PACKED: Final = 180_000
"""Characters of a packed file in one message."""


class ExportError(ValueError):
    """What was asked for can't be exported; the message says why, in a line."""


def incident_file(
    incident: str,
    alerts: Sequence[Alert],
    hosts: Sequence[HostProfile],
    ntriples: bytes,
    ontology: Path,
) -> bytes:
    """RDF/XML; the same bytes for the same alerts and the same version, whoever asks.

    Args:
        incident: its id.
        hosts: what the settings say of hosts.
        ntriples: of the ontology and the enabled rules in force.
        ontology: its file, in the folder of its version.

    Raises: ExportError, OSError.
    """
    if not alerts:
        raise ExportError(f"incident {incident} names no alerts")
    reads = Theory.from_ntriples(ntriples).reads
    known = {host.address: host for host in hosts}
    try:
        window = build_window(alerts, known, reads, reactions_of(ontology).service)
        return write_window(ntriples, window, title=f"incident {incident}")
    except WindowFileError as e:
        raise ExportError(str(e)) from e


def reactions_of(ontology: Path) -> Reactions:
    """Reaction rules of an ontology file's version. Raises: ValueError, OSError."""
    path = ontology.with_name(REACTIONS_FILE)
    if not path.exists():
        return shipped_reactions()
    with tried(taxonomy_of(ontology.read_bytes(), ontology)):
        return read_reactions(path)


def wish(name: str, incident: str, alerts: Sequence[Alert], user: str) -> OntologyAction:
    """What the ontology agent is asked: the alerts without their texts, which no window holds.

    Args:
        user: in whose name.

    Raises: ExportError if there are too many for a message.
    """
    try:
        fragment = encode([replace(alert, explanation="") for alert in alerts])
    except FragmentError as e:
        raise ExportError(f"{len(alerts)} alerts: {e}") from e
    return OntologyAction(
        id=name,
        ontology_action="export",
        fragment=fragment,
        detail=f"{USER_PREFIX}{user}: {incident}",
    )


def incident_of(action: OntologyAction) -> str:
    """The incident that a wish names."""
    return action.detail.rpartition(": ")[2]


def alerts_of(action: OntologyAction) -> list[Alert]:
    """Those of a wish. Raises: ExportError."""
    try:
        records = decode(action.fragment)
    except FragmentError as e:
        raise ExportError(f"alerts that can't be read: {e}") from e
    return [record for record in records if isinstance(record, Alert)]


def packed(data: bytes) -> str:
    """A file as it travels. Raises: ExportError if it is too long for a message."""
    text = base64.b64encode(zlib.compress(data, 9)).decode("ascii")
    if len(text) > MAX_PACKED:
        raise ExportError(
            f"{len(data)} bytes are too many for a message: use `ontoidps ontology export`"
        )
    return text


def unpacked(text: str) -> bytes:
    """Raises: ExportError."""
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(text, validate=True), MAX_FILE_BYTES)
    except (binascii.Error, zlib.error) as e:
        raise ExportError(f"not a packed file: {e}") from e
    if not unpacker.eof:
        raise ExportError("a packed file that is cut off or too large")
    return data
