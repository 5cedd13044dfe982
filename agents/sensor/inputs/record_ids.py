"""Names of records that follow from what they are made of (RFC 9562 section 5.5)."""

from __future__ import annotations

import hashlib
from uuid import UUID


def urn(namespace: UUID, name: str) -> str:
    """``uuid.uuid5(namespace, name).urn``, in a third of the time: one for each alert of a log."""
    whole = namespace.bytes + name.encode("utf-8")
    digits = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digits[16], 16) & 3]
    return (
        f"urn:uuid:{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}"
        f"-{digits[20:32]}"
    )
