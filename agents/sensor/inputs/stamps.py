"""Time stamps as logs write them, to microseconds since the epoch.

With or without year, zone and fraction: RFC 3164 and 5424, `ctime` (OpenWrt's logread, ``dmesg
-T``), journalctl's short forms, Common Log Format (web servers, Proxmox), Snort's and Suricata's
``fast.log``, seconds since the epoch. Only the begin of a line is looked at: what follows may be a
stranger's text.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

import re2

from agents.sensor.inputs.events import LineRefused, moment
from ontology.records import MAX_TIME_US

_LOOKED_AT = 96
"""Characters of a line in which its time stands, or nowhere."""
_DAY = timedelta(days=1)
_MONTHS = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
_CLOCK = r"(\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?"
_ZONE = r"Z|UTC|GMT|[+-]\d{2}:?\d{2}"
_PRIORITY = re2.compile(r"<\d{1,3}>(?:1 )?")
_NAMED_MONTH = re2.compile(
    r"(?:[A-Z][a-z]{2} {1,2})?([A-Z][a-z]{2}) {1,2}(\d{1,2})(?: ((?:19|20)\d{2}))? "
    + _CLOCK
    # date(1) has the zone between clock and year; a host may be called like a zone, but not that.
    + rf"(?: ([A-Z]{{1,5}}|{_ZONE}) ((?:19|20)\d{{2}})\b| ((?:19|20)\d{{2}})\b| ({_ZONE})\b)?"
)
_ISO = re2.compile(
    r"([A-Z][a-z]{2} )?(\d{4})[-/](\d{2})[-/](\d{2})[T ]"
    + _CLOCK
    + rf"(?: ?({_ZONE})(?:[^0-9A-Za-z]|$)| ([A-Z]{{1,5}}) )?"
)
_COMMON_LOG = re2.compile(
    # Proxmox: guest's number, level and chain stand before it.
    r"(?:\d{1,9} \d \S{1,40} )?(\d{1,2})/([A-Z][a-z]{2})/(\d{4}):" + _CLOCK + r"(?: ([+-]\d{4}))?"
)
_FAST = re2.compile(r"(\d{2})/(\d{2})(?:/(\d{4}|\d{2}))?-" + _CLOCK)
_EPOCH = re2.compile(r"(\d{9,10}|\d{13}|\d{16})(?:\.(\d{1,9}))?(?:[\s:;,\]]|$)")
_EPOCH_DIGITS = {9: 1_000_000, 10: 1_000_000, 13: 1_000, 16: 1}


def stamp(line: str, zone: tzinfo, now_us: int) -> tuple[int, int]:
    """Epoch microseconds of the time at the begin of ``line``, and where the rest begins.

    ``zone`` is that of a stamp which names none; ``now_us``: one without a year is of the latest
    year that does not lie in the future.

    Raises: LineRefused: ``time`` (none, or none that could be), ``timezone`` (named by letters that
    are not ``zone``'s: they stand for several).
    """
    # The form of nearly all lines, without a pattern: "Nov 20 01:02:03 ".
    if line[9:10] == ":" and line[12:13] == ":" and line[15:16] == " " and line[3:4] == " ":
        at = _old(line[:15], zone, now_us // 86_400_000_000)
        year = line[16:21]
        # "… 2026 " behind it is a year, "… UTC:" a zone.
        if at >= 0 and not ((year[:2] in ("19", "20") and year[:4].isdigit()) or year[3:4] == ":"):
            return at, 16
    # Web servers': "16/Nov/2026:12:11:24 +0000".
    if line[2:3] == "/" and line[6:7] == "/" and line[17:18] == ":" and line[20:21] == " ":
        minute, second = _common_minute(line[:17], line[21:26]), line[18:20]
        if minute >= 0 and second.isascii() and second.isdigit() and second <= "60":
            return minute + min(int(second), 59) * 1_000_000, len(line[:26])
    text = line[:_LOOKED_AT]
    if not text.isascii():
        # JSON may hold half of a surrogate pair, which RE2 can't be given.
        text = text.encode("utf-8", "replace").decode()
    begin = 0
    if text.startswith("<"):
        found = _PRIORITY.match(text)
        begin = found.end() if found else 0
    if text.startswith("[", begin):
        begin += 1
    at, end = _any_form(text[begin:].lstrip(), zone, now_us)
    end += len(text) - len(text[begin:].lstrip())
    return at, end + len(text[end:]) - len(text[end:].lstrip("] :"))


def _any_form(text: str, zone: tzinfo, now_us: int) -> tuple[int, int]:
    found = _ISO.match(text)
    if found:
        weekday, year, month, day, *clock, named, letters = found.groups()
        end = found.end() - (len(letters) + 1 if letters else 0)
        if letters and weekday:  # journalctl -o short-full
            return _moment(int(year), int(month), int(day), clock, letters, zone), found.end()
        return _moment(int(year), int(month), int(day), clock, named, zone), end
    found = _NAMED_MONTH.match(text)
    if found:
        name, day, early, *clock, zone_before, year_behind, bare, named = found.groups()
        month = _MONTHS.get(name)
        if month is None:
            raise LineRefused("time")
        year = early or year_behind or bare
        named = zone_before or named
        if year:
            return _moment(int(year), month, int(day), clock, named, zone), found.end()
        return _yearless(month, int(day), clock, named, zone, now_us), found.end()
    found = _COMMON_LOG.match(text)
    if found:
        day, name, year, *clock, named = found.groups()
        return _moment(int(year), _MONTHS.get(name, 0), int(day), clock, named, zone), found.end()
    found = _FAST.match(text)
    if found:
        first, second, third, *clock = found.groups()
        return _fast(int(first), int(second), third, clock, zone, now_us), found.end()
    found = _EPOCH.match(text)
    if found:
        whole, part = found.groups()
        at = int(whole) * _EPOCH_DIGITS[len(whole)]
        if part and len(whole) <= 10:
            at += int(part[:6].ljust(6, "0"))
        if at > MAX_TIME_US:
            raise LineRefused("time")
        return at, found.end(2) if part else found.end(1)
    raise LineRefused("time")


@lru_cache(maxsize=4096)
def _old(text: str, zone: tzinfo, today: int) -> int:
    """The same for ``Nov 20 01:02:03``; -1 if it is none. Most lines come several a second."""
    month, day = _MONTHS.get(text[:3]), text[4:6].strip()
    clock = text[7:9], text[10:12], text[13:15]
    if month is None or text[6] != " " or not all(map(str.isdecimal, (day, *clock))):
        return -1
    return _yearless(month, int(day), [*clock, None], None, zone, today * 86_400_000_000)


@lru_cache(maxsize=1024)
def _common_minute(text: str, named: str) -> int:
    """The same for ``16/Nov/2026:12:11`` and ``+0000``; -1 if they are none."""
    found = _COMMON_LOG.fullmatch(f"{text}:00 {named}")
    if found is None or not found.group(8):
        return -1
    day, name, year, *clock, zone = found.groups()
    return _moment(int(year), _MONTHS.get(name, 0), int(day), clock, zone, UTC)


def _moment(
    year: int, month: int, day: int, clock: list[str | None], named: str | None, zone: tzinfo
) -> int:
    hour, minute, second, part = clock
    microsecond = int((part or "0")[:6].ljust(6, "0"))
    try:
        # A leap second has no number of its own since the epoch.
        when = datetime(
            year, month, day, int(hour or 0), int(minute or 0), min(int(second or 0), 59),
            microsecond, tzinfo=zone,
        )  # fmt: skip
        return moment(when.replace(tzinfo=_zone(named, when)) if named else when)
    except (ValueError, OverflowError) as e:
        if isinstance(e, LineRefused):
            raise
        raise LineRefused("time") from None


def _zone(named: str, when: datetime) -> tzinfo:
    if named in ("Z", "UTC", "GMT"):
        return UTC
    if named[0] in "+-":
        minutes = int(named[1:3]) * 60 + int(named[-2:])
        return timezone(timedelta(minutes=-minutes if named[0] == "-" else minutes))
    # Letters stand for several zones (CST for three); the log's own is known.
    if when.tzname() == named and when.tzinfo is not None:
        return when.tzinfo
    raise LineRefused("timezone")


def _yearless(
    month: int,
    day: int,
    clock: list[str | None],
    named: str | None,
    zone: tzinfo,
    now_us: int,
) -> int:
    # The latest year that does not lie in the future (a day is left for clocks and zones), so that
    # December's lines still count as last year's in January. 29 February: not in every year.
    now = datetime.fromtimestamp(now_us // 1_000_000, zone)
    horizon = moment(now + _DAY * 2)
    for year in range(now.year + 1, now.year - 8, -1):
        try:
            at = _moment(year, month, day, clock, named, zone)
        except LineRefused as e:
            if e.reason != "time":
                raise
            continue
        if at <= horizon:
            return at
    raise LineRefused("time")


def _fast(
    first: int,
    second: int,
    third: str | None,
    clock: list[str | None],
    zone: tzinfo,
    now_us: int,
) -> int:
    if third is None:
        return _yearless(first, second, clock, None, zone, now_us)
    if len(third) == 4:
        return _moment(int(third), first, second, clock, None, zone)
    # Snort 2 writes month/day/year, Snort 3 year/month/day: what can't be, or not yet, is not it.
    both = []
    for year, month, day in ((int(third), first, second), (first, second, int(third))):
        try:
            at = _moment(2000 + year, month, day, clock, None, zone)
        except LineRefused:
            continue
        if at <= now_us + 2 * 86_400_000_000:
            both.append(at)
    if not both:
        raise LineRefused("time")
    return max(both)
