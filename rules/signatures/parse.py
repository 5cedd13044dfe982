"""Snort and Suricata rules as `Signature` records: parsed, classified, judged executable or not.

Not the job of this module: matching (`agents.sensor.signatures.matcher`), triples
(`rules.signatures.individuals`). The grammar of a rule is suricataparser's; what its options mean
to us is in `rules.signatures.payload_options`. Rules come from strangers: a line that can't be read
is a `Fault`, never an exception. What an option means stands in `rules.signatures.option_reader`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path

from suricataparser import parse_rule
from suricataparser.exceptions import RuleParseException
from suricataparser.rule import Rule

from ontology.taxonomy import ATTACK_CLASSES
from rules.signatures.affected import affected_by, cves_of, metadata_of
from rules.signatures.header_options import HeaderTest
from rules.signatures.option_errors import printable
from rules.signatures.option_reader import APPLICATIONS, OptionReader
from rules.signatures.payload_options import Check
from rules.signatures.state_options import Effects

MAX_LINE = 65_536
MAX_FILE_BYTES = 64 << 20
MAX_FILES = 10_000
_ACTIONS = ("alert", "drop", "reject", "pass", "log", "activate", "dynamic", "sdrop")
_START = re.compile(
    r"(#[#\s]*)?(" + "|".join(_ACTIONS) + r"|reject(?:src|dst|both))\s+(\S.*)\Z", re.DOTALL
)
_TOKEN = r"(!?\s*\[[^()]*?\]|\S+)"  # a list in brackets may hold spaces  # noqa: S105
_HEADER = re.compile(
    rf"(\S+)\s+{_TOKEN}\s+{_TOKEN}\s+(->|<>|<-|=>)\s+{_TOKEN}\s+{_TOKEN}\s*\Z", re.DOTALL
)
_PROTOCOLS = {"tcp": 6, "tcp-pkt": 6, "udp": 17, "icmp": 1, "ip": -1, **APPLICATIONS}


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
    services: tuple[str, ...]
    """Protocols and products that the rule is about, sorted."""
    systems: tuple[str, ...]
    """Operating systems, and kinds of machines that serve nothing, that the rule names, sorted."""
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
    effects: Effects
    silences: bool
    """``pass``: what it matches is not to be told by other rules."""
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


def rule_paths(path: Path) -> list[Path]:
    """A folder stands for the ``*.rules`` in it and below it; never more than `MAX_FILES`."""
    if not path.is_dir():
        return [path]
    return sorted(islice((file for file in path.rglob("*.rules") if file.is_file()), MAX_FILES))


def load_signatures(paths: Iterable[Path]) -> SignatureSet:
    """Read rule files; a folder stands for its ``*.rules``, those in its folders too.

    Raises: OSError, ValueError (no such file, too large, not one line of rules in any of them).
    """
    found: dict[tuple[int, int], Signature] = {}
    faults: list[Fault] = []
    repeated = 0
    wanted = [file for path in paths for file in rule_paths(path)]
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
    if not found and not faults:
        raise ValueError(f"no rule in {', '.join(repr(str(p)) for p in wanted) or 'no file'}")
    return SignatureSet(tuple(found[key] for key in sorted(found)), tuple(faults), repeated)


def read_rules(text: str, path: Path) -> Iterator[Signature | Fault]:
    """The rules of a file's text (decoded as Latin-1), disabled ones included.

    Every line that is neither empty nor a comment is a rule or a fault: none vanishes.
    """
    pending, first = "", 0
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        first = first if pending else number
        line = pending + line.strip()
        pending = ""
        if line.endswith("\\") and len(line) <= MAX_LINE and number < len(lines):
            pending = line[:-1] + " "
            continue
        if not line.strip():
            continue
        comment = line.startswith("#")
        if len(line) > MAX_LINE:
            if not comment:
                yield Fault(path, first, f"longer than {MAX_LINE} characters")
            continue
        start = _START.match(line)
        # Prose in a comment may begin with such a word too; a rule has options.
        if comment and (start is None or "(" not in start[3]):
            continue
        try:
            yield read_rule(line, group=path.stem)
        except ValueError as e:
            if not comment:
                yield Fault(path, first, str(e))


def read_rule(line: str, *, group: str = "") -> Signature:
    """One rule. Raises: ValueError if it has no readable header, options or sid."""
    start = _START.match(line.strip())
    if start is None:
        word = printable(line.split(maxsplit=1)[0])[:40] if line.strip() else ""
        raise ValueError(f"action {word!r} is not supported")
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
    unsupported = set()
    if arrow == "=>":
        unsupported.add("=> (request and response in one rule)")
    if transport not in _PROTOCOLS:
        unsupported.add(f"protocol {printable(transport)[:20]}")
    options = OptionReader(rule, transport, unsupported)
    message = printable((rule.msg or "").replace('\\"', '"'))
    classtype = printable(rule.classtype or "").strip().lower() or "unknown"
    attack_class, confidence = classify(classtype, message)
    references = _references(rule)
    said = metadata_of(rule)
    services, systems = affected_by(said, message, options.header.application)
    return Signature(
        sid=rule.sid,
        gid=_number(rule, "gid", 1),
        revision=rule.rev or 0,
        message=message,
        classtype=classtype,
        attack_class=attack_class,
        confidence=confidence,
        references=references,
        cves=cves_of(references, message, said.get("cve", ())),
        services=services,
        systems=systems,
        group=printable(group),
        enabled=enabled,
        transport=printable(transport),
        source=printable(source),
        source_ports=printable(source_ports),
        target=printable(target),
        target_ports=printable(target_ports),
        both_ways=arrow == "<>",
        header=options.header,
        checks=options.checks,
        effects=options.effects,
        silences=action == "pass",
        unsupported=tuple(sorted(unsupported)),
    )


def _number(rule: Rule, name: str, default: int) -> int:
    values = [str(option.value) for option in rule.options if option.name == name]
    return int(values[-1]) if values and values[-1].strip().isdecimal() else default


def _references(rule: Rule) -> tuple[tuple[str, str], ...]:
    found = []
    for option in rule.options:
        if option.name == "reference" and option.value:
            scheme, comma, value = printable(str(option.value)).partition(",")
            if comma and value.strip():
                found.append((scheme.strip().lower(), value.strip()))
    return tuple(dict.fromkeys(found))


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
