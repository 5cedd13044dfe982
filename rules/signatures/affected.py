"""What a rule says it is about: services and products, systems, from its metadata and message.

Authors write ``metadata: affected_product``, ``attack_target``, ``service`` and ``cve`` (Emerging
Threats' metadata guide; Snort's manual, section 3.4.8), a word or a few joined by underscores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from suricataparser.rule import Metadata, Rule

from rules.signatures.option_errors import printable

MAX_NAMES = 8
"""Of a rule, of each kind."""
_MAX_NAME = 60
"""Characters of a name."""
_WANTED = frozenset({"affected_product", "attack_target", "service", "cve"})
_SYSTEMS = (
    ("Windows", re.compile(r"\bwindows|\bIIS\b|\bwin32\b|\bNETBIOS\b|\bSMB\b|\bActiveX\b", re.I)),
    ("Linux", re.compile(r"\blinux\b", re.I)),
    ("Solaris", re.compile(r"\bsolaris\b|\bsunos\b|\bsparc\b", re.I)),
    ("BSD", re.compile(r"\b(?:free|open|net)?bsd\b", re.I)),
    ("IRIX", re.compile(r"\birix\b", re.I)),
    ("AIX", re.compile(r"\baix\b", re.I)),
    ("HP-UX", re.compile(r"\bhp-?ux\b", re.I)),
    ("macOS", re.compile(r"\bmac_?\s?os_?x\b", re.I)),
    ("Android", re.compile(r"\bandroid\b", re.I)),
    ("iOS", re.compile(r"\baffected_product iOS\b")),
    ("Cisco", re.compile(r"\bcisco\b", re.I)),
)
_CVE = re.compile(r"(?:CVE|CAN)?[-_ ]?((?:19|20)\d\d)[-_](\d{4,7})", re.I)
_SERVING = re.compile(r"server|service|database|cms", re.I)
"""Targets that are a service: ``Web_Server``, ``SMTP_Server``; a ``Client_Endpoint`` is none."""


def metadata_of(rule: Rule) -> dict[str, list[str]]:
    """Of the metadata that is about what is affected: values by name, as written, printable."""
    found: dict[str, list[str]] = {}
    for option in rule.options:
        if isinstance(option.value, Metadata):
            for item in option.value.data:
                name, _, value = printable(str(item)).strip().partition(" ")
                if name in _WANTED and value.strip():
                    found.setdefault(name, []).append(value.strip())
    return found


def affected_by(
    said: Mapping[str, Sequence[str]], message: str, application: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(services, systems), both sorted and bounded, from `metadata_of` and the rest of a rule.

    ``application``: the protocol whose messages the rule reads, e.g. ``http``.
    """
    products = said.get("affected_product", ())
    named = " ".join((message, *(f"affected_product {product}" for product in products)))
    systems = {name for name, pattern in _SYSTEMS if pattern.search(named)}
    services = {application} if application else set()
    services |= {value.lower() for value in said.get("service", ())}
    services |= {product for product in products if not _is_system(product)}
    for target in said.get("attack_target", ()):
        (services if _SERVING.search(target) else systems).add(target)
    return _names(services), _names(systems)


def cves_of(
    references: tuple[tuple[str, str], ...], message: str, said: Sequence[str]
) -> tuple[str, ...]:
    """``CVE-YYYY-NNNN``, sorted; ``references``: (scheme, value), ``said``: metadata ``cve``."""
    found = {
        f"CVE-{m[1]}-{m[2]}"
        for scheme, value in (*references, *(("cve", text) for text in said))
        if scheme == "cve"
        for m in [_CVE.match(value)]
        if m
    }
    found |= {f"CVE-{m[1]}-{m[2]}" for m in re.finditer(r"\bCVE[- ](\d{4})-(\d{4,7})", message)}
    return tuple(sorted(found))


def _is_system(product: str) -> bool:
    return any(pattern.search(f"affected_product {product}") for _, pattern in _SYSTEMS)


def _names(found: set[str]) -> tuple[str, ...]:
    words = {" ".join(name.replace("_", " ").split())[:_MAX_NAME] for name in found}
    return tuple(sorted(words - {"", "Any"})[:MAX_NAMES])
