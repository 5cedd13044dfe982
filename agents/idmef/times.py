"""Times of IDMEF: ISO 8601 (RFC 3339; also without a zone, which is UTC) and NTP stamps."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from ontology.records import MAX_TIME_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NTP = re.compile(r"0x([0-9a-fA-F]{1,8})\.0x([0-9a-fA-F]{1,8})")
_FRACTION = re.compile(r"[.,]([0-9]{1,9})[0-9]*")
_NTP_TO_UNIX_S: Final = 2_208_988_800
_ERA_S: Final = 1 << 32


def iso_us(text: str) -> int:
    """Epoch microseconds; what is finer is cut off. Raises: ValueError."""
    if not 19 <= len(text) <= 64:
        raise ValueError("not a time like 2026-11-30T12:00:00Z")
    # Only three or six decimals are sure to be read; a leap second is the last one of its minute.
    found = _FRACTION.search(text)
    fraction = found[1][:6].ljust(6, "0") if found else "000000"
    plain = text if found is None else text[: found.start()] + text[found.end() :]
    if plain[17:19] == "60":
        plain, fraction = plain[:17] + "59" + plain[19:], "999999"
    try:
        moment = datetime.fromisoformat(plain)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        at = (moment - _EPOCH) // timedelta(microseconds=1) + int(fraction)
    except (ValueError, OverflowError):
        raise ValueError("not a time like 2026-11-30T12:00:00Z") from None
    return _checked(at)


def ntp_us(text: str) -> int:
    """Epoch microseconds of ``0x`` seconds ``.0x`` fraction (RFC 4765 section 3.2.6). Raises:
    ValueError."""
    found = _NTP.fullmatch(text)
    if found is None:
        raise ValueError("not an NTP stamp like 0xbc71f4f5.0xef449129")
    seconds, fraction = int(found[1], 16), int(found[2], 16)
    if seconds < 1 << 31:
        seconds += _ERA_S  # after 7 February 2036 (RFC 4330 section 3)
    return _checked((seconds - _NTP_TO_UNIX_S) * 1_000_000 + (fraction * 1_000_000 >> 32))


def _checked(at_us: int) -> int:
    if not 0 <= at_us <= MAX_TIME_US:
        raise ValueError("a time before 1970 or after 9999")
    return at_us
