"""Attack models as text, close to LAMBDA's own notation; the grammar is in ``docs/rules.md``.

    action syn-flood(A = source, H = target)
      "The host's queue of half-open connections is filled."
      scenario: mitnick
      pre: remote-access(A, H)
      post: deny-of-service(H)
      evidence: SynFlood

To text and back gives the same models: both ways go through `Models`, and what stands in the text
is checked by the reader of the OWL file, which it is compiled to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rules.scenarios.attack_models import (
    BINDINGS,
    KINDS,
    MAX_FILE_BYTES,
    Condition,
    Model,
    ModelError,
    Models,
    Predicate,
    Term,
    parse_models,
)
from rules.scenarios.model_owl import attacks_owl
from rules.scenarios.model_tokens import Slip, Token, bare_or_quoted, quoted, scan

_LISTS = {
    "scenario": "scenarios",
    "evidence": "evidence",
    "port": "ports",
    "cve": "cves",
    "technique": "techniques",
    "tactic": "tactics",
    "d3fend": "d3fend",
}
"""Parts that list names, and what they are in a `Model`."""
_PARTS = (*_LISTS, "pre", "state", "post", "needs")
_MODEL_OF_SLIP = re.compile(r"(?:model|rule) '([^']*)'")


def models_text(models: Models) -> str:
    """The models as text, in order of name.

    Raises: ModelError if a variable of one model has two types or two bindings: no text can say it.
    """
    parts = ["# Attack models: docs/rules.md; ontoidps rules import FILE"]
    for name, (label, comment) in models.scenarios.items():
        parts.append(f"scenario {bare_or_quoted(name)} {quoted(label)}{_said(comment)}")
    lines = []
    for predicate in models.predicates:
        types = ", ".join(bare_or_quoted(type_) for type_ in predicate.types)
        flag = " capability" if predicate.capability else ""
        lines.append(
            f"predicate {bare_or_quoted(predicate.name)}({types}){flag}{_said(predicate.comment)}"
        )
    parts.append("\n".join(lines))
    parts += [_model(model) for model in models.models]
    return "\n\n".join(part for part in parts if part) + "\n"


def _model(model: Model) -> str:
    state = "state" if model.kind == "objective" else "pre"
    lines = [f"{model.kind} {bare_or_quoted(model.name)}({', '.join(_variables(model))})"]
    if model.comment:
        lines.append(f"  {quoted(model.comment)}")
    rows = {
        "scenario": [bare_or_quoted(name) for name in model.scenarios],
        state: [_condition(condition) for condition in model.pre],
        "post": [_condition(condition) for condition in model.post],
        **{
            part: [bare_or_quoted(name) for name in getattr(model, field_)]
            for part, field_ in _LISTS.items()
            if part != "scenario"
        },
        "needs": ["all"] if model.needs_all else [],
    }
    lines += [f"  {part}: {', '.join(words)}" for part, words in rows.items() if words]
    return "\n".join(lines)


def _variables(model: Model) -> Iterator[str]:
    """``A = source``, with the type where no predicate gives it: ``A: attacker = source``."""
    found: dict[str, Term] = {}
    typed: set[str] = set()
    for condition in (*model.pre, *model.post):
        knower = (condition.known_by,) if condition.known_by is not None else ()
        for term in (*knower, *condition.terms):
            if not term.constant and found.setdefault(term.name, term) != term:
                raise ModelError(f"model {model.name!r}: {term.name} has two types or two bindings")
        typed |= {term.name for term in condition.terms}
    for name, term in found.items():
        type_ = "" if name in typed else f": {bare_or_quoted(term.type)}"
        yield f"{bare_or_quoted(name)}{type_}{f' = {term.bound_to}' if term.bound_to else ''}"


def _condition(condition: Condition) -> str:
    terms = ", ".join(map(_term, condition.terms))
    text = f"{bare_or_quoted(condition.predicate.name)}({terms})"
    if condition.known_by is not None:
        knower = condition.known_by
        typed = f": {bare_or_quoted(knower.type)}" if knower.constant else ""
        text = f"knows({_term(knower)}{typed}, {text})"
    return f"not({text})" if condition.negated else text


def _term(term: Term) -> str:
    if not term.constant:
        return bare_or_quoted(term.name)
    inner = json.dumps(term.name, ensure_ascii=False)[1:-1].replace('\\"', '"')
    return "'" + inner.replace("'", "\\'") + "'"


def _said(comment: str) -> str:
    return f" {quoted(comment)}" if comment else ""


@dataclass(slots=True)
class _Found:
    """A model, and where its words stand."""

    model: Model
    line: int
    lines: dict[str, int] = field(default_factory=dict)


def parse_model_text(text: str, name: str) -> tuple[Models, str]:
    """The models, and the ``attacks.owl`` that they are compiled to; ``name`` stands in messages.

    Raises: ModelError, one line per slip: file, line, word, and what is wrong.
    """
    if len(text) > MAX_FILE_BYTES:
        raise ModelError(f"{name}: larger than {MAX_FILE_BYTES} characters")
    reader = _Reader(text)
    reader.read()
    if reader.slips:
        slips = sorted(reader.slips, key=lambda slip: slip.line)
        raise ModelError("\n".join(f"{name}:{slip.line}: {slip.reason}" for slip in slips))
    written = attacks_owl(reader.models())
    try:
        return parse_models(written.encode(), ""), written
    except ModelError as e:
        slips_ = [reader.placed(line.removeprefix(": ")) for line in str(e).splitlines()]
        raise ModelError("\n".join(f"{name}:{line}: {reason}" for line, reason in slips_)) from e


class _Reader:
    def __init__(self, text: str) -> None:
        self.slips: list[Slip] = []
        self._tokens = list(scan(text, self.slips))
        self._at = 0
        self._predicates: dict[str, Predicate] = {}
        self._scenarios: dict[str, tuple[str, str]] = {}
        self._found: dict[str, _Found] = {}

    def models(self) -> Models:
        return Models(
            models=tuple(self._found[name].model for name in sorted(self._found)),
            scenarios=dict(sorted(self._scenarios.items())),
            predicates=tuple(self._predicates[name] for name in sorted(self._predicates)),
        )

    def placed(self, slip: str) -> tuple[int, str]:
        """The line of a slip that the reader of the OWL file found."""
        match = _MODEL_OF_SLIP.match(slip)
        found = self._found.get(match[1]) if match else None
        if found is None:
            return 1, slip
        words = re.findall(r"[^\s'(),:]+", slip[match.end() if match else 0 :])
        lines = [found.lines[word] for word in words if word in found.lines]
        return (lines[0] if lines else found.line), slip

    def read(self) -> None:
        """Predicates and scenarios first: they may stand behind what uses them."""
        starts = [
            n
            for n, token in enumerate(self._tokens)
            if token.first
            and token.kind == "word"
            and token.value in ("scenario", "predicate", *KINDS.values())
            and not self._tokens[n + 1].is_sign(":")
        ]
        if self._tokens[0].kind != "end" and (not starts or starts[0] != 0):
            token = self._tokens[0]
            self.slips.append(Slip(token.line, f"{token.value!r}: expected {_KEYWORDS}"))
        for declared in (True, False):
            for start, end in zip(starts, [*starts[1:], len(self._tokens) - 1], strict=True):
                if (self._tokens[start].value in ("scenario", "predicate")) is declared:
                    try:
                        self._statement(start, end)
                    except Slip as slip:
                        self.slips.append(slip)

    def _statement(self, start: int, end: int) -> None:
        self._at = start
        kind = self._take().value
        token = self._peek
        name = self._name()
        if kind == "scenario":
            label = self._text_if_any()
            self._once(self._scenarios, name, token)
            self._scenarios[name] = (label, self._text_if_any())
        elif kind == "predicate":
            types = tuple(self._list_in_brackets())
            marked = self._peek.kind == "word" and self._peek.value == "capability"
            capability = marked and bool(self._take())
            self._once(self._predicates, name, token)
            self._predicates[name] = Predicate(name, types, capability, self._text_if_any())
        else:
            self._once(self._found, name, token)
            self._model(kind, name, token.line, end)
        if self._at < end:
            raise self._slip("expected a new statement, which begins a line")

    def _model(self, kind: str, name: str, line: int, end: int) -> None:
        types, bound = self._header()
        comment = self._text_if_any()
        begin = self._at
        parts: dict[str, list[str]] = {}
        conditions: dict[str, list[Condition]] = {"pre": [], "post": []}
        while self._at < end:
            part = self._take()
            if part.value not in _PARTS:
                raise Slip(part.line, f"{part.value!r}: expected {', '.join(_PARTS)}")
            if part.value in parts:
                raise Slip(part.line, f"{part.value!r} stands twice in {name!r}")
            parts[part.value] = []
            self._sign(":")
            while True:
                if part.value in ("pre", "state", "post"):
                    where = "post" if part.value == "post" else "pre"
                    conditions[where].append(self._condition(types, bound))
                else:
                    word = self._peek
                    said = self._name()
                    if part.value == "scenario" and said not in self._scenarios:
                        raise Slip(word.line, f"{said!r}: no scenario is called so")
                    if part.value == "needs" and said != "all":
                        raise Slip(word.line, f"{said!r}: expected all")
                    parts[part.value].append(said)
                if not self._peek.is_sign(","):
                    break
                self._take()
        all_terms = (t for found in conditions.values() for c in found for t in c.terms)
        known = {t.name: t.type for t in all_terms if not t.constant}
        model = Model(
            name=name,
            kind=kind,
            comment=comment,
            pre=_with_knowers(conditions["pre"], known),
            post=_with_knowers(conditions["post"], known),
            **{field_: tuple(sorted(parts.get(part, ()))) for part, field_ in _LISTS.items()},
            needs_all=bool(parts.get("needs")),
        )
        lines = {t.value: t.line for t in reversed(self._tokens[begin:end])}
        self._found[name] = _Found(model, line, lines)

    def _header(self) -> tuple[dict[str, str], dict[str, str]]:
        """(type of those that name one, binding of all) by variable."""
        types: dict[str, str] = {}
        bound: dict[str, str] = {}
        self._sign("(")
        while not self._peek.is_sign(")") or bound:
            token = self._peek
            name = self._name()
            if name in bound:
                raise Slip(token.line, f"{name!r} stands twice in the brackets")
            bound[name] = ""
            if self._peek.is_sign(":"):
                self._take()
                types[name] = self._name()
            if self._peek.is_sign("="):
                self._take()
                end = self._take()
                if end.value not in BINDINGS[1:]:
                    raise Slip(end.line, f"{end.value!r}: expected source or target")
                bound[name] = end.value
            if not self._peek.is_sign(","):
                break
            self._take()
        self._sign(")")
        return types, bound

    def _condition(self, types: dict[str, str], bound: dict[str, str]) -> Condition:
        negated, knower = False, None
        if self._peek.kind == "word" and self._peek.value == "not":
            self._take()
            self._sign("(")
            negated = True
        knows = self._peek.kind == "word" and self._peek.value == "knows"
        if knows:
            self._take()
            self._sign("(")
            constant = self._peek.kind == "constant"
            token, known_name = self._term_name()
            if constant:
                self._sign(":")
                knower = Term(known_name, self._name(), constant=True)
            else:
                knower = self._variable(token, known_name, types.get(known_name, ""), bound)
            self._sign(",")
        token = self._peek
        name = self._name()
        predicate = self._predicates.get(name)
        if predicate is None:
            raise Slip(token.line, f"{name!r}: no predicate is called so")
        self._sign("(")
        terms: list[Term] = []
        while True:
            type_ = predicate.types[len(terms)] if len(terms) < len(predicate.types) else ""
            constant = self._peek.kind == "constant"
            word, term = self._term_name()
            terms.append(
                Term(term, type_, constant=True)
                if constant
                else self._variable(word, term, type_, bound)
            )
            if not self._peek.is_sign(","):
                break
            self._take()
        self._sign(")")
        if len(terms) != len(predicate.types):
            raise Slip(
                token.line,
                f"{name!r} takes {len(predicate.types)} arguments "
                f"({' '.join(predicate.types)}), has {len(terms)}",
            )
        if knows:
            self._sign(")")
        if negated:
            self._sign(")")
        return Condition(predicate, tuple(terms), negated, knower)

    def _variable(self, token: Token, name: str, type_: str, bound: dict[str, str]) -> Term:
        if name not in bound:
            raise Slip(token.line, f"{name!r}: no variable of the model (name it in the brackets)")
        return Term(name, type_, bound[name])

    def _term_name(self) -> tuple[Token, str]:
        token = self._peek
        if token.kind == "constant":
            self._take()
            return token, token.value
        return token, self._name()

    def _list_in_brackets(self) -> list[str]:
        self._sign("(")
        found = [self._name()]
        while self._peek.is_sign(","):
            self._take()
            found.append(self._name())
        self._sign(")")
        return found

    def _text_if_any(self) -> str:
        return self._take().value if self._peek.kind == "text" else ""

    def _name(self) -> str:
        if self._peek.kind not in ("word", "text"):
            raise self._slip("expected a name")
        return self._take().value

    def _sign(self, sign: str) -> None:
        if not self._peek.is_sign(sign):
            raise self._slip(f"expected {sign!r}")
        self._take()

    def _once(self, known: Collection[str], name: str, token: Token) -> None:
        if name in known:
            raise Slip(token.line, f"{name!r} is there twice")

    @property
    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        if token.kind != "end":
            self._at += 1
        return token

    def _slip(self, reason: str) -> Slip:
        word = "the end" if self._peek.kind == "end" else repr(self._peek.value)
        return Slip(self._peek.line, f"{word}: {reason}")


def _with_knowers(
    conditions: Sequence[Condition], types: Mapping[str, str]
) -> tuple[Condition, ...]:
    """With the type of who knows, where another condition or nobody says it."""

    def typed(condition: Condition) -> Condition:
        knower = condition.known_by
        if knower is None or knower.type:
            return condition
        known_by = replace(knower, type=types.get(knower.name, "attacker"))
        return replace(condition, known_by=known_by)

    return tuple(map(typed, conditions))


_KEYWORDS = f"scenario, predicate, {', '.join(KINDS.values())}"
