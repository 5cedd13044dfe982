"""Snort and Suricata rules as `Signature` records: parsed, classified, judged executable or not.

Not the job of this module: matching (`agents.sensor.signatures.matcher`), triples
(`rules.signatures.individuals`). The grammar of a rule is suricataparser's; what its options mean
to us is in `rules.signatures.payload_options`. Rules come from strangers: a line that can't be read
is a `Fault`, never an exception.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from suricataparser import parse_rule
from suricataparser.exceptions import RuleParseException
from suricataparser.rule import Metadata, Rule

from ontology.vocabulary import ATTACK_CLASSES
from rules.signatures.header_options import HEADER_READERS, HeaderTest, printable
from rules.signatures.payload_options import (
    BUFFER_OPTIONS,
    CHECKS,
    Check,
    Content,
    OptionError,
    read_number,
)

MAX_LINE = 65_536
MAX_FILE_BYTES = 64 << 20
_ACTIONS = ("alert", "drop", "reject", "pass", "log", "activate", "dynamic", "sdrop")
_START = re.compile(r"(#[#\s]*)?(" + "|".join(_ACTIONS) + r")\s+(\S.*)\Z", re.DOTALL)
_TOKEN = r"(!?\s*\[[^()]*?\]|\S+)"  # a list in brackets may hold spaces  # noqa: S105
_HEADER = re.compile(
    rf"(\S+)\s+{_TOKEN}\s+{_TOKEN}\s+(->|<>|<-)\s+{_TOKEN}\s+{_TOKEN}\s*\Z", re.DOTALL
)
_PROTOCOLS = {"tcp": 6, "tcp-pkt": 6, "udp": 17, "icmp": 1, "ip": -1, "http": 6}
# Say what a rule is or what else to do with a match, not what matches.
_SILENT = frozenset(
    "msg sid gid rev classtype reference metadata priority fast_pattern target tag logto".split()
)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One rule. Addresses and ports are kept as written, with variables."""

    sid: int
    gid: int
    revision: int
    message: str
    classtype: str
    attack_class: str | None
    """Local name of a class under ``Attack``; None if a match is no attack by itself."""
    confidence: float
    """What an alert of this signature is worth, [0, 1]."""
    references: tuple[tuple[str, str], ...]
    """(scheme, value) as in ``reference:``."""
    cves: tuple[str, ...]
    """``CVE-YYYY-NNNN``, sorted."""
    systems: tuple[str, ...]
    """Operating systems that the rule names, sorted."""
    group: str
    """Name of the file it stands in, without the ending."""
    enabled: bool
    transport: str
    source: str
    source_ports: str
    target: str
    target_ports: str
    both_ways: bool
    header: HeaderTest
    checks: tuple[Check, ...]
    """In the order of the rule, which is the order in which they are carried out."""
    unsupported: tuple[str, ...]
    """Options that are not carried out, sorted, with the reason in brackets."""

    @property
    def executable(self) -> bool:
        """Every condition of the rule is carried out by `agents.sensor.signatures.matcher`."""
        return not self.unsupported

    @property
    def iri(self) -> str:
        return f"urn:ontoidps:signature:{self.gid}:{self.sid}"


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that looks like a rule and is none."""

    path: Path
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class SignatureSet:
    """What a list of files held, in order of (gid, sid); of one sid the highest revision."""

    signatures: tuple[Signature, ...]
    faults: tuple[Fault, ...]
    repeated: int
    """Rules whose sid came again, in the same or another revision."""

    @property
    def executable(self) -> tuple[Signature, ...]:
        """Enabled and carried out whole."""
        return tuple(s for s in self.signatures if s.enabled and s.executable)

    def reasons(self) -> Counter[str]:
        """How many signatures each unsupported option keeps from being executable."""
        return Counter(reason for s in self.signatures for reason in s.unsupported)


def load_signatures(paths: Iterable[Path]) -> SignatureSet:
    """Read rule files; a folder stands for its ``*.rules``.

    Raises: OSError, ValueError (no such file, too large, no rule in any of them).
    """
    found: dict[tuple[int, int], Signature] = {}
    faults: list[Fault] = []
    repeated = 0
    wanted = [
        file
        for path in paths
        for file in (sorted(path.glob("*.rules")) if path.is_dir() else [path])
    ]
    for path in wanted:
        if not path.is_file():
            raise ValueError(f"{str(path)!r}: no such file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"{str(path)!r}: larger than {MAX_FILE_BYTES >> 20} MiB")
        # Latin-1 keeps every byte of a content; messages are put right in `printable`.
        for item in read_rules(path.read_text("latin-1"), path):
            if isinstance(item, Fault):
                faults.append(item)
                continue
            key = (item.gid, item.sid)
            repeated += key in found
            # A disabled rule never displaces an enabled one of the same sid.
            order = (item.enabled, item.revision)
            if key not in found or order > (found[key].enabled, found[key].revision):
                found[key] = item
    if not found:
        raise ValueError(f"no rule in {', '.join(repr(str(p)) for p in wanted) or 'no file'}")
    return SignatureSet(tuple(found[key] for key in sorted(found)), tuple(faults), repeated)


def read_rules(text: str, path: Path) -> Iterator[Signature | Fault]:
    """The rules of a file's text (decoded as Latin-1), disabled ones included."""
    pending = ""
    for number, line in enumerate(text.split("\n"), 1):
        line = pending + line.strip()
        pending = ""
        if line.endswith("\\") and len(line) <= MAX_LINE:
            pending = line[:-1] + " "
            continue
        start = _START.match(line) if len(line) <= MAX_LINE else None
        # Prose in a comment may begin with such a word too; a rule has options.
        if start is None or "(" not in start[3]:
            if len(line) > MAX_LINE and not line.startswith("#"):
                yield Fault(path, number, f"longer than {MAX_LINE} characters")
            continue
        try:
            yield read_rule(line, group=path.stem)
        except ValueError as e:
            if start[1] is None:
                yield Fault(path, number, str(e))


def read_rule(line: str, *, group: str = "") -> Signature:
    """One rule. Raises: ValueError if it has no readable header, options or sid."""
    start = _START.match(line.strip())
    if start is None:
        raise ValueError("does not begin with an action")
    enabled, action = start[1] is None, start[2]
    try:
        # The library knows four actions, and they don't change how a rule is written.
        rule = parse_rule(f"alert {start[3]}")
    except (RuleParseException, IndexError, AttributeError, TypeError, ValueError) as e:
        raise ValueError(f"unreadable options ({type(e).__name__})") from e
    header = _HEADER.match(rule.header) if rule is not None else None
    if rule is None or header is None:
        raise ValueError("unreadable header or options")
    if rule.sid is None or not 0 < rule.sid < 1 << 32:
        raise ValueError("no sid")
    transport, source, source_ports, arrow, target, target_ports = header.groups()
    if arrow == "<-":
        source, source_ports, target, target_ports = target, target_ports, source, source_ports
    unsupported = set() if action != "pass" else {"pass (a rule that silences others)"}
    if transport not in _PROTOCOLS:
        unsupported.add(f"protocol {printable(transport)[:20]}")
    header_test, checks = _options(rule, transport, unsupported)
    message = printable((rule.msg or "").replace('\\"', '"'))
    classtype = printable(rule.classtype or "").strip().lower() or "unknown"
    attack_class, confidence = classify(classtype, message)
    references = _references(rule)
    return Signature(
        sid=rule.sid,
        gid=_number(rule, "gid", 1),
        revision=rule.rev or 0,
        message=message,
        classtype=classtype,
        attack_class=attack_class,
        confidence=confidence,
        references=references,
        cves=_cves(references, message),
        systems=_systems(rule, message),
        group=printable(group),
        enabled=enabled,
        transport=printable(transport),
        source=printable(source),
        source_ports=printable(source_ports),
        target=printable(target),
        target_ports=printable(target_ports),
        both_ways=arrow == "<>",
        header=header_test,
        checks=checks,
        unsupported=tuple(sorted(unsupported)),
    )


def _number(rule: Rule, name: str, default: int) -> int:
    values = [str(option.value) for option in rule.options if option.name == name]
    return int(values[-1]) if values and values[-1].strip().isdecimal() else default


def _options(
    rule: Rule, transport: str, unsupported: set[str]
) -> tuple[HeaderTest, tuple[Check, ...]]:
    """The tests of a rule; what is not understood goes into ``unsupported``."""
    checks: list[Check] = []
    header = HeaderTest(http=transport == "http")
    for option in rule.options:
        name = str(option.name)
        value = None if option.value is None else str(option.value)
        try:
            if name in CHECKS:
                checks.append(CHECKS[name](value))
            elif name in _MODIFIERS:
                _modify(checks, name, value)
            elif name == "fast_pattern":
                _modify(checks, name, None)
            elif name in HEADER_READERS:
                header = HEADER_READERS[name](header, value or "")
            elif name in ("threshold", "detection_filter", "flowbits"):
                _side_effect(name, value or "")
            elif name not in _SILENT:
                raise OptionError(printable(name)[:40])
        except OptionError as e:
            unsupported.add(str(e))
    return header, tuple(checks)


def _side_effect(name: str, value: str) -> None:
    """Options that may be left out without changing what matches, and those that may not."""
    words = re.sub(r"\s+", " ", value.strip()).split(",")
    # One alert per so many seconds: fusion does that for every alert.
    if name == "threshold" and words[0].strip() == "type limit":
        return
    # Remembers for other rules; those that ask (isset) are not carried out.
    if name == "flowbits" and words[0].strip() in ("set", "unset", "toggle", "reset"):
        return
    raise OptionError(f"{name} ({printable(words[0]).strip()[:20]})")


_MODIFIERS = frozenset(
    ["nocase", "offset", "depth", "distance", "within", "startswith", "endswith", *BUFFER_OPTIONS]
)


def _modify(checks: list[Check], name: str, value: str | None) -> None:
    """A modifier changes the content before it."""
    last = checks[-1] if checks else None
    if not isinstance(last, Content):
        raise OptionError(f"{name} (without a content before it)")
    change: dict[str, object] = {}
    if name in BUFFER_OPTIONS:
        if name != "rawbytes":
            change["buffer"] = BUFFER_OPTIONS[name]
    elif name == "nocase":
        change["nocase"] = True
    elif name == "fast_pattern":
        change["fast"] = True
    elif name == "startswith":
        change |= {"offset": 0, "depth": len(last.pattern)}
    elif name == "endswith":
        change["at_end"] = True
    else:
        change[name] = read_number(value, name)
    # A later modifier replaces the content in place: `checks` is still being built.
    checks[-1] = replace(last, **change)  # type: ignore[arg-type]


def _references(rule: Rule) -> tuple[tuple[str, str], ...]:
    found = []
    for option in rule.options:
        if option.name == "reference" and option.value:
            scheme, comma, value = printable(str(option.value)).partition(",")
            if comma and value.strip():
                found.append((scheme.strip().lower(), value.strip()))
    return tuple(dict.fromkeys(found))


_CVE = re.compile(r"(?:CVE|CAN)?[-_ ]?((?:19|20)\d\d)[-_](\d{4,7})", re.I)


def _cves(references: tuple[tuple[str, str], ...], message: str) -> tuple[str, ...]:
    found = {
        f"CVE-{m[1]}-{m[2]}"
        for scheme, value in references
        if scheme == "cve"
        for m in [_CVE.match(value)]
        if m
    }
    found |= {f"CVE-{m[1]}-{m[2]}" for m in re.finditer(r"\bCVE[- ](\d{4})-(\d{4,7})", message)}
    return tuple(sorted(found))


def _systems(rule: Rule, message: str) -> tuple[str, ...]:
    """Operating systems named in the message or in ``metadata: affected_product``."""
    text = message
    for option in rule.options:
        if isinstance(option.value, Metadata):
            text += "".join(
                f" {printable(item)}"
                for item in option.value.data
                if item.startswith("affected_product")
            )
    return tuple(sorted(name for name, pattern in _SYSTEMS if pattern.search(text)))


@cache
def _classes() -> tuple[tuple[str, str, str | None, float], ...]:
    """Rows of ``attack_classes.tsv``: (classtype or ``*``, words, class, confidence)."""
    rows = []
    text = files("rules").joinpath("attack_classes.tsv").read_text("utf-8")
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        classtype, words, name, confidence = line.split("\t")
        if name != "-" and name not in ATTACK_CLASSES:
            raise ValueError(f"attack_classes.tsv: {name!r} is no attack class")
        rows.append((classtype, words.lower(), None if name == "-" else name, float(confidence)))
    return tuple(rows)


@cache
def classify(classtype: str, message: str) -> tuple[str | None, float]:
    """Attack class and confidence: the first row of ``attack_classes.tsv`` that agrees."""
    lower = message.lower()
    for wanted, words, name, confidence in _classes():
        if wanted in ("*", classtype) and (
            words == "*" or any(word in lower for word in words.split("|"))
        ):
            return name, confidence
    raise ValueError("attack_classes.tsv: the last row must agree with everything")
