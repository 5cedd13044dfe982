"""IDMEFv2 documents against the schema of their version, which comes with library ``idmefv2``.

`idmefv2.Message.validate` reads and checks the schema itself anew for each message and takes the
version, a stranger's text, for the name of a package; so the schemas are used, not that method
(tests hold the two together).
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

import idmefv2
import jsonschema
import jsonschema.validators

from agents.idmef.complaints import IdmefError, clean

VERSION: Final = "2.D.V08"
"""What we write."""
VERSIONS: Final = {f"2.D.V0{n}": f"0{n}" for n in range(3, 9)}
"""What we read, and the name of its schema: these have all fields that we use, in one form."""


@cache
def _validator(schema: str) -> Any:
    name = ("schemas", "drafts", "IDMEFv2", schema, "IDMEFv2.schema")
    place = files(idmefv2).joinpath(*name)
    content = json.loads(place.read_text(encoding="utf-8"))
    kind: Any = jsonschema.validators.validator_for(content)
    kind.check_schema(content)
    return kind(content)


def check_document(document: object, place: str) -> None:
    """Raises: IdmefError that names the first thing that does not fit."""
    if not isinstance(document, dict):
        raise IdmefError(place, "document", document, "not a JSON object")
    version = document.get("Version")
    schema = VERSIONS.get(version) if isinstance(version, str) else None
    if schema is None:
        known = f"{min(VERSIONS)} to {max(VERSIONS)}"
        raise IdmefError(place, "Version", version, f"not one of {known}")
    error = next(_validator(schema).iter_errors(document), None)
    if error is not None:
        element = ".".join(str(part) for part in error.absolute_path) or "document"
        whole = isinstance(error.instance, dict | list)
        why = str(error.message)
        if whole:
            # The library shows the whole object before it says what is wrong with it.
            why = f"{error.validator}: {_names(error)}"
        elif error.validator in ("pattern", "enum"):
            why = "not in the form that the schema wants"
        raise IdmefError(place, element, None if whole else error.instance, why[:160])


def _names(error: Any) -> str:
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{', '.join(missing)} is missing"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        more = sorted(str(name) for name in error.instance if name not in known)
        return f"there is no {clean(', '.join(more), 60)}"
    return "another type is wanted"
