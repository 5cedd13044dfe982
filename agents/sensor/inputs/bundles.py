"""Several events on one line, as searches of Elasticsearch are exported, made a line each.

``{"took": 3, "hits": {"hits": [{"_source": {…}}, …]}}``, and arrays of documents or of what is in
them. What a line holds is bounded by its own length (`agents.sensor.inputs.tail.MAX_LINE`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

MAX_DOCUMENTS: Final = 1024
"""Of one line; more are refused and counted."""
_LOOKED_AT: Final = 512
"""Bytes in which ``hits`` stands: before it are times and counts only."""
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def documents(line: bytes) -> tuple[list[bytes], int] | None:
    """A line for each document, and how many more there were; None if the line is no such export.

    Only the outermost object or array is looked into: text in a field of an event never is one.
    """
    if line[:1] == b"[":
        pass
    elif line[:1] != b"{" or b'"hits"' not in line[:_LOOKED_AT]:
        return None
    try:
        whole: Any = _decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if isinstance(whole, dict):
        hits = whole.get("hits")
        found = hits.get("hits") if isinstance(hits, dict) else None
        if not isinstance(found, list) or not all(
            isinstance(one, dict) and isinstance(one.get("_source"), dict) for one in found
        ):
            return None
    elif isinstance(whole, list) and whole and all(isinstance(one, dict) for one in whole):
        found = whole
    else:
        return None
    return [_encode(one) for one in found[:MAX_DOCUMENTS]], max(len(found) - MAX_DOCUMENTS, 0)
