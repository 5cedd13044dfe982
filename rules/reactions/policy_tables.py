"""The policy tables of reactions, which people edit, and the reaction rules that follow from them.

Four tab-separated files in ``rules/``: what each class of attack gets, what services and hosts
add to it, and exceptions. Every slip gets a line that names file, row and reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

from ontology.taxonomy import ATTACK_CLASSES, HOST_CLASSES, superclasses

ATTACKS = "reaction_attacks.tsv"
SERVICES = "reaction_services.tsv"
ASSETS = "reaction_assets.tsv"
EXCEPTIONS = "reaction_policy.tsv"
TABLES = (ATTACKS, SERVICES, ASSETS, EXCEPTIONS)
RESPONSES = ("block", "observe")
ANY = "any"
"""In a rule: every service without a rule of its own."""
MAX_FACTOR = Decimal(100)
MAX_RULES = 50_000
_NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
_D3FEND = re.compile(r"D3-[A-Z0-9]{1,10}")


class TableError(ValueError):
    """A table can't be used; one line per slip, each naming file, row and reason."""


@dataclass(frozen=True, slots=True)
class Response:
    """What is done, how long, and why."""

    response: str
    """One of `RESPONSES`."""
    factor: Decimal
    """Length of a block as a multiple of the configured one; 0 if nothing is blocked."""
    d3fend: str
    reason: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class ReactionRule:
    """A response for one class of attack, service and kind of host."""

    attack: str
    service: str
    """A name from the table of services, or `ANY`."""
    asset: str
    response: Response

    @property
    def name(self) -> str:
        """``SshBruteForce_ssh_honeypot``."""
        return f"{self.attack}_{self.service}_{self.asset}"


@dataclass(frozen=True, slots=True)
class Service:
    """One row of the table of services."""

    name: str
    ports: tuple[tuple[int, int], ...]
    """(port, IANA protocol number)."""
    factor: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class Asset:
    """One row of the table of assets."""

    name: str
    role: str
    """Local name of a class under Host; ``*`` any, ``-`` a host that nothing is known of."""
    value: int
    factor: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class Tables:
    """All four, checked."""

    attacks: Mapping[str, tuple[tuple[str, ...], Response]]
    """Class → (services, response)."""
    services: Mapping[str, Service]
    assets: Mapping[str, Asset]
    exceptions: Mapping[tuple[str, str, str], Response]


def read_tables(folder: Path) -> Tables:
    """Read and check the tables.

    Raises: TableError (a ValueError), OSError.
    """
    slips: list[str] = []
    services = {row["service"]: _service(row, slips) for row in _rows(folder / SERVICES, slips)}
    assets = {row["asset"]: _asset(row, slips) for row in _rows(folder / ASSETS, slips)}
    attacks: dict[str, tuple[tuple[str, ...], Response]] = {}
    for row in _rows(folder / ATTACKS, slips):
        at = row["at"]
        _check_attack(row["attack"], at, slips)
        if row["attack"] in attacks:
            slips.append(f"{at}: attack {row['attack']!r} has a row already")
        named = {"*": tuple(services), "none": ()}.get(
            row["services"], tuple(row["services"].split())
        )
        for name in named:
            if name not in services:
                slips.append(f"{at}: service {name!r} is not in {SERVICES}")
        attacks[row["attack"]] = (named, _response(row, slips))
    if "Attack" not in attacks:
        slips.append(f"{folder / ATTACKS}: no row for Attack, which all others fall back to")
    if not any(asset.role == "-" for asset in assets.values()):
        slips.append(f"{folder / ASSETS}: no row with role -, for hosts that nothing is known of")
    exceptions: dict[tuple[str, str, str], Response] = {}
    for row in _rows(folder / EXCEPTIONS, slips):
        at = row["at"]
        _check_attack(row["attack"], at, slips)
        for column, known in (("service", services), ("asset", assets)):
            if row[column] != "*" and row[column] not in known:
                slips.append(f"{at}: {column} {row[column]!r} is in no row of its table")
        key = (row["attack"], row["service"], row["asset"])
        if key in exceptions:
            slips.append(f"{at}: {' '.join(key)} has a row already")
        exceptions[key] = _response(row, slips)
    if slips:
        raise TableError("\n".join(slips))
    return Tables(attacks, services, assets, exceptions)


def expand(tables: Tables) -> tuple[ReactionRule, ...]:
    """Every reaction rule, in order of name.

    Raises: TableError if there would be too many.
    """
    wanted: set[tuple[str, str]] = {(attack, ANY) for attack in tables.attacks}
    wanted |= {(a, s) for a, (services, _) in tables.attacks.items() for s in services}
    # An exception makes rules as well: for a service that the class's own row does not list, and
    # for a class without a row, which else has the services of the nearest one above that has one.
    for attack, service, _ in tables.exceptions:
        lineage = (attack, *superclasses(attack))
        above = next(name for name in lineage if name in tables.attacks)
        services = {*tables.attacks[above][0], service} - {"*"}
        wanted |= {(attack, ANY), *((attack, one) for one in services)}
    if len(wanted) * len(tables.assets) > MAX_RULES:
        raise TableError(
            f"{len(wanted) * len(tables.assets)} reaction rules, at most {MAX_RULES} are taken"
        )
    rules = [
        ReactionRule(attack, service, asset, _decide(tables, attack, service, asset))
        for attack, service in wanted
        for asset in tables.assets
    ]
    return tuple(sorted(rules, key=lambda rule: rule.name))


def _decide(tables: Tables, attack: str, service: str, asset: str) -> Response:
    lineage = (attack, *superclasses(attack))
    for name in lineage:
        # The nearer class first, then a named service, then a named asset.
        for key in (
            (name, service, asset),
            (name, service, "*"),
            (name, "*", asset),
            (name, "*", "*"),
        ):
            if key in tables.exceptions:
                return tables.exceptions[key]
    base = next(tables.attacks[name][1] for name in lineage if name in tables.attacks)
    factor, reasons = base.factor, [base.reason]
    if service != ANY:
        factor *= tables.services[service].factor
        reasons.append(tables.services[service].reason)
    factor *= tables.assets[asset].factor
    reasons.append(tables.assets[asset].reason)
    return replace(base, factor=min(factor, MAX_FACTOR).normalize(), reason=" ".join(reasons))


def _rows(path: Path, slips: list[str]) -> Iterator[dict[str, str]]:
    columns: list[str] = []
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as e:
        raise TableError(f"{path}: not UTF-8 text: {e.reason} at byte {e.start}") from e
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        values = [value.strip() for value in line.split("\t")]
        if not columns:
            columns = values
            wanted = _COLUMNS[path.name]
            if columns != wanted:
                raise TableError(f"{path}:{number}: the columns must be {' '.join(wanted)}")
            continue
        if len(values) != len(columns) or not all(values):
            slips.append(
                f"{path}:{number}: {len(columns)} values with one tab between are needed, there "
                f"are {sum(map(bool, values))}"
            )
            continue
        yield {**dict(zip(columns, values, strict=True)), "at": f"{path}:{number}"}
    if not columns:
        raise TableError(f"{path}: empty")


_COLUMNS = {
    ATTACKS: ["attack", "services", "response", "factor", "d3fend", "reason", "advice"],
    SERVICES: ["service", "ports", "factor", "reason"],
    ASSETS: ["asset", "role", "value", "factor", "reason"],
    EXCEPTIONS: [
        "attack", "service", "asset", "response", "factor", "d3fend", "reason", "advice"
    ],
}  # fmt: skip


def _check_attack(name: str, at: str, slips: list[str]) -> None:
    if name not in ATTACK_CLASSES | {"Attack"}:
        slips.append(f"{at}: attack {name!r} is no class under Attack")


def _response(row: Mapping[str, str], slips: list[str]) -> Response:
    at = row["at"]
    if row["response"] not in RESPONSES:
        slips.append(
            f"{at}: response must be one of {', '.join(RESPONSES)}, got {row['response']!r}"
        )
    factor = _factor(row, slips)
    if (row["response"] == "block") != (factor > 0):
        slips.append(f"{at}: a block needs a factor above 0, observe needs 0, got {row['factor']}")
    if not _D3FEND.fullmatch(row["d3fend"]):
        slips.append(f"{at}: d3fend must look like D3-ITF, got {row['d3fend']!r}")
    advice = "" if row["advice"] == "-" else row["advice"]
    return Response(row["response"], factor, row["d3fend"], row["reason"], advice)


def _factor(row: Mapping[str, str], slips: list[str]) -> Decimal:
    try:
        factor = Decimal(row["factor"])
    except InvalidOperation:
        factor = Decimal("NaN")
    if not factor.is_finite() or not 0 <= factor <= MAX_FACTOR:
        slips.append(f"{row['at']}: factor must lie in [0, {MAX_FACTOR}], got {row['factor']!r}")
        return Decimal(0)
    return factor


def _service(row: Mapping[str, str], slips: list[str]) -> Service:
    at, ports = row["at"], []
    if not _NAME.fullmatch(row["service"]) or row["service"] in (ANY, "none"):
        slips.append(f"{at}: {row['service']!r} is no name for a service")
    for text in row["ports"].split(","):
        number, _, transport = text.strip().partition("/")
        protocol = {"tcp": 6, "udp": 17}.get(transport)
        if protocol is None or not number.isdecimal() or not 0 < int(number) < 65536:
            slips.append(f"{at}: ports must be like 53/udp, got {text!r}")
            continue
        ports.append((int(number), protocol))
    return Service(row["service"], tuple(ports), _factor(row, slips), row["reason"])


def _asset(row: Mapping[str, str], slips: list[str]) -> Asset:
    at = row["at"]
    if not _NAME.fullmatch(row["asset"]) or row["asset"] == ANY:
        slips.append(f"{at}: {row['asset']!r} is no name for an asset")
    if row["role"] not in HOST_CLASSES | {"*", "-"}:
        slips.append(f"{at}: role {row['role']!r} is no class under Host, nor * or -")
    if row["value"] not in tuple("012345"):
        slips.append(f"{at}: value must lie in 0 to 5, got {row['value']!r}")
        return Asset(row["asset"], row["role"], 0, Decimal(1), row["reason"])
    return Asset(row["asset"], row["role"], int(row["value"]), _factor(row, slips), row["reason"])
