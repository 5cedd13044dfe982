"""Words of attack models that have a meaning or a form of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ontology.taxonomy import in_force
from ontology.vocabulary import IDPS

EVALUATED = ("own-host", "same-host", "unnamed-source")
"""Names of predicates that no step brings about: the correlation agent looks whether they hold."""
FORMS: dict[str, re.Pattern[str]] = {
    IDPS.evidencedOnPort: re.compile(r"[0-9]{1,5}/(tcp|udp)"),
    IDPS.exploitsCve: re.compile(r"CVE-[0-9]{4}-[0-9]{4,7}"),
    IDPS.techniqueId: re.compile(r"T[0-9]{4}(\.[0-9]{3})?"),
    IDPS.tacticId: re.compile(r"TA[0-9]{4}"),
}
"""What the values of these properties look like."""


def is_branch(name: str) -> bool:
    """Whether a class of attack has subclasses: as evidence of a step it says little by itself."""
    return any(name in above for above in in_force().parents.values())


def ill_formed(property_: str, values: Iterable[str]) -> list[str]:
    """The values that don't have the form."""
    return [value for value in values if not FORMS[property_].fullmatch(value)]
