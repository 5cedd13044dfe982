"""What is wrong with a ``honeynet.toml``, in its writer's words: each fault, thing and line."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from tomllib import TOMLDecodeError, loads
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from agents.settings.toml_lines import Place, explain, find_lines

T = TypeVar("T", bound=BaseModel)

MAX_BYTES = 4 << 20
"""A file of a thousand nodes has 0.3 MB."""
_LONGEST_VALUE = 80

# What pydantic says in Python's words, in the file's; ``{…}`` are its own numbers.
_WORDS = {
    "missing": "is missing",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "dict_type": "must be a table",
    "path_type": "must be a path in quotes",
    "string_type": "must be a text in quotes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "at least {min_length} must be there",
    "literal_error": "must be one of {expected}",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault, at a place of the file or of a part of it."""

    place: Place
    text: str


class ContradictionError(ValueError):
    """Values of one part that can't all be meant."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.text for problem in problems))


@dataclass(slots=True)
class Gathered:
    """Contradictions found while a file is validated: the context of pydantic's validators."""

    parts: list[tuple[object, list[Problem]]] = field(default_factory=list)

    @staticmethod
    def take(context: object, part: object, problems: list[Problem]) -> None:
        """Raises: ContradictionError if nobody gathers."""
        if not problems:
            return
        if not isinstance(context, Gathered):
            raise ContradictionError(problems)
        context.parts.append((part, problems))


class SettingsError(ValueError):
    """honeynet.toml can't be used; the message is one line naming file, thing and value.

    ``lines``: one such line for each fault.
    """

    def __init__(self, message: str, more: Sequence[str] = ()) -> None:
        self.lines = (message, *more)
        rest = f" (and {len(more)} more: ontoidps check names all)" if more else ""
        super().__init__(message + rest)


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is TOML: its values, and where they stand."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[Place, int]

    def told(self, problem: Problem) -> str:
        """One line: file, line, thing, what is wrong."""
        line = self.line(problem.place)
        thing = describe(problem.place, self.data)
        begin = f"{self.path}:{line}" if line else f"{self.path}"
        return f"{begin}: {thing}: {problem.text}" if thing else f"{begin}: {problem.text}"

    def line(self, place: Place) -> int:
        """Of the place or of what it is in; 0 if that is the whole file."""
        for end in range(len(place), 0, -1):
            if place[:end] in self.lines:
                return self.lines[place[:end]]
        return 0

    def error(self, problems: Iterable[Problem]) -> SettingsError:
        """All of them, in the order of the file."""
        by_line = sorted(problems, key=lambda p: self.line(p.place) or 1 << 30)
        first, *more = dict.fromkeys(self.told(problem) for problem in by_line)
        return SettingsError(first, more)


def read_source(path: Path) -> Source:
    """Raises: SettingsError: the file can't be read, or is not TOML."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise SettingsError(f"{path}: is a folder, not a file") from None
    except OSError as e:
        raise SettingsError(f"{path}: {e.strerror or e}") from e
    if len(raw) > MAX_BYTES:
        raise SettingsError(f"{path}: is larger than {MAX_BYTES >> 20} MiB: not a honeynet file")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        what = "UTF-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "another encoding"
        raise SettingsError(
            f"{path}:{line}: byte {raw[e.start]:#04x} is not UTF-8: save the file as UTF-8 (it "
            f"looks like {what})"
        ) from e
    text = text.replace("\r\n", "\n")
    try:
        data = loads(text)
    except TOMLDecodeError as e:
        line, meaning = explain(e, text)
        raise SettingsError(f"{path}:{line}: {meaning}") from e
    except RecursionError as e:
        raise SettingsError(f"{path}: lists or tables are nested too deep") from e
    return Source(path, data, find_lines(text))


def validate(model: type[T], source: Source) -> T:
    """The file as a model; what parts of it contradict is gathered and told with the rest.

    Raises: SettingsError: every fault.
    """
    gathered = Gathered()
    try:
        made = model.model_validate(source.data, context=gathered)
    except ValidationError as e:
        wrong = _problems(e, model)
        raise source.error([*wrong, *_beyond(model, source, wrong)]) from e
    problems = [*_placed(gathered, made)]
    if problems:
        raise source.error(problems)
    return made


def _beyond(model: type[BaseModel], source: Source, wrong: list[Problem]) -> list[Problem]:
    """Contradictions between what is not wrong: without the wrong values all is tried again."""
    data = copy.deepcopy(source.data)
    places = sorted({problem.place for problem in wrong}, key=_order, reverse=True)
    if any(len(place) < 2 or (place[0] == "node" and place[2:] in _NAMING) for place in places):
        return []  # names and roles that others refer to: what follows from them is no news
    for place in places:
        _remove(data, place)
    gathered = Gathered()
    try:
        made = model.model_validate(data, context=gathered)
    except ValidationError:
        return []
    return [
        problem
        for problem in _placed(gathered, made)
        if not any(_related(problem.place, place) for place in places)
    ]


_NAMING: tuple[Place, ...] = ((), ("name",), ("agents",), ("addresses",))


def _order(place: Place) -> tuple[tuple[bool, str | int], ...]:
    return tuple((isinstance(key, int), key) for key in place)


def _related(one: Place, other: Place) -> bool:
    """Whether what is wrong at the one may only follow from what was left out at the other."""
    size = min(len(one), len(other), 2 if other[0] in ("node", "honeypot") else len(other))
    return one[:size] == other[:size]


def _remove(data: Any, place: Place) -> None:
    for key in place[:-1]:
        try:
            data = data[key]
        except (LookupError, TypeError):
            return
    if isinstance(data, dict):
        data.pop(place[-1], None)
    elif isinstance(data, list) and isinstance(place[-1], int) and place[-1] < len(data):
        del data[place[-1]]


def _placed(gathered: Gathered, made: BaseModel) -> Iterable[Problem]:
    """The problems of parts at the places of the parts in the file."""
    nodes = getattr(made, "node", ())
    for part, problems in gathered.parts:
        place: Place = ()
        if part is not made:
            place = next((("node", n) for n, node in enumerate(nodes) if node is part), ())
        for problem in problems:
            yield Problem((*place, *problem.place), problem.text)


def _problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    out: dict[Place, Problem] = {}
    for found in error.errors(include_url=False):
        # Names in brackets are pydantic's own, of a union's members.
        place = tuple(key for key in found["loc"] if "[" not in str(key))
        out.setdefault(place, Problem(place, _text(found, place, model)))
    return [*out.values()]


def _text(found: Mapping[str, Any], place: Place, model: type[BaseModel]) -> str:
    kind, value = found["type"], found["input"]
    if kind == "extra_forbidden":
        known = _keys(model, place[:-1])
        return f"there is no such key{did_you_mean(str(place[-1]), known)}"
    if kind == "tuple_type" and place in (("node",), ("honeypot",)) and isinstance(value, dict):
        return f"[{place[0]}] wants two brackets: [[{place[0]}]]"
    words = _WORDS.get(kind)
    if words is None:
        message = str(found["msg"]).removeprefix("Value error, ")
    else:
        message = words.format(**found.get("ctx", {}))
    if kind == "literal_error" and isinstance(value, str):
        expected = re.findall(r"'([^']*)'", message)
        message += did_you_mean(value, expected)
    if kind == "missing" or isinstance(value, dict):
        return message
    shown = repr(value)
    if len(shown) > _LONGEST_VALUE:
        shown = shown[:_LONGEST_VALUE] + " …"
    return message if shown in message else f"{message} (got {shown})"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)``, or nothing if nothing is like it."""
    near = get_close_matches(name, [*known], 1, 0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _keys(model: type[BaseModel], place: Place) -> list[str]:
    """The keys of the table at a place."""
    for key in place:
        if isinstance(key, int):
            continue
        found = model.model_fields.get(key)
        part = None if found is None else _part(found.annotation)
        if part is None:
            return []
        model = part
    return [*model.model_fields]


def _part(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((p for a in get_args(annotation) if (p := _part(a)) is not None), None)


def describe(place: Place, data: Mapping[str, Any]) -> str:
    """``node 'gw1': interfaces``, ``honeypot 198.51.100.18: open_ports``, ``policy.allow``."""
    if not place:
        return ""
    rest: Place = place
    head = ""
    if place[0] in ("node", "honeypot") and len(place) > 1 and isinstance(place[1], int):
        rest = place[2:]
        tables = data.get(str(place[0]))
        table = tables[place[1]] if isinstance(tables, list) and place[1] < len(tables) else None
        name = table.get("name" if place[0] == "node" else "address") if table else None
        known = isinstance(name, str)
        head = f"{place[0]} {place[1] + 1}" if not known else f"{place[0]} {name!r}"
    # Of lists the value says which item is meant, and the line where it stands.
    keys = ".".join(str(key) for key in rest if isinstance(key, str))
    return ": ".join(part for part in (head, keys) if part)
