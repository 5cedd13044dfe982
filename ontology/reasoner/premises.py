"""Premises of many conclusions, brought over from Java at once.

Each crossing between Python and Java costs a microsecond or more, and a window of 1,000 alerts has
16,000 premises of a few thousand distinct terms. So they are numbered and written as text on the
Java side, by method handles over its own collections, and cross in a few strings and one array.
"""

from __future__ import annotations

from array import array
from typing import Any

import jpype

Term = tuple[str, ...]
"""Function and arguments; of a rule only its IRI, of a literal its value."""

MAX_AXIOMS = 10_000


class PremiseTable:
    """Rows of premises: `add` and `end_row` for each, and at the end `take`."""

    def __init__(self) -> None:
        java = jpype.JClass
        self._list = java("java.util.ArrayList")
        self._terms = java("org.mindswap.pellet.utils.ATermUtils")
        self._appl = java("aterm.ATermAppl")
        self._join = java("java.lang.String").join
        self._premises = self._list()
        self._numbers = java("java.util.LinkedHashMap")()
        self._axioms = java("java.util.LinkedHashMap")()
        """Terms of the theory that were met: they come again in other windows."""
        self._axiom_terms: list[Term] = [()]
        self._axioms.put(None, jpype.JInt(0))
        functions = _Functions(self._numbers)
        self._number, self._as_int = functions.number, functions.as_int
        self._name, self._arguments = functions.name, functions.arguments
        self._other_than = {kind: functions.other_than(kind) for kind in _FACTS}

    def end_row(self) -> None:
        """The premises added since the last end are those of one conclusion."""
        self._premises.add(None)

    def add(self, premises: Any) -> None:
        """A Java collection of terms."""
        self._premises.addAll(premises)

    def clear(self) -> None:
        """Forget what was added."""
        self._premises.clear()

    def take(self) -> tuple[list[Term], list[list[int]]]:
        """(terms, sorted; per row the numbers of its terms in them, ascending). Empties the table.

        A row without premises is an empty list.
        """
        # Null ends a row; it has number 0, and the axioms have the next ones.
        self._numbers.clear()
        self._numbers.putAll(self._axioms)
        self._premises.replaceAll(self._number)
        flat = array("i")
        flat.frombytes(
            memoryview(self._premises.stream().mapToInt(self._as_int).toArray()).tobytes()
        )
        self._premises.clear()
        found = list(self._axiom_terms)
        found += self._rendered(self._list(self._numbers.keySet()))
        self._numbers.clear()
        used = sorted(set(flat) - {0}, key=found.__getitem__)
        places = [0] * len(found)
        terms: list[Term] = []
        for number in used:
            if not terms or terms[-1] != found[number]:
                terms.append(found[number])
            places[number] = len(terms) - 1
        rows, row = [], set[int]()
        for number in flat:
            if number:
                row.add(places[number])
            else:
                rows.append(sorted(row))
                row = set()
        if row:
            rows.append(sorted(row))
        return terms, rows

    def _rendered(self, terms: Any) -> list[Term]:
        """Those behind the known axioms, in order."""
        old = len(self._axiom_terms)
        fresh = self._list(terms.subList(old, terms.size()))
        kinds = self._texts(fresh, self._name)
        if kinds is None:
            return [self._term(term) for term in fresh]
        facts = {kind: iter(self._facts(kind, fresh)) for kind in set(kinds) & set(_FACTS)}
        found: list[Term] = []
        axioms = []
        for place, kind in enumerate(kinds):
            if kind in facts:
                found.append(next(facts[kind]))
            else:
                found.append(self._term(fresh.get(place)))
                axioms.append((fresh.get(place), found[-1]))
        if len(self._axiom_terms) + len(axioms) > MAX_AXIOMS:
            self._axioms.clear()
            self._axioms.put(None, jpype.JInt(0))
            del self._axiom_terms[1:]
        for term, text in axioms:
            self._axioms.put(term, jpype.JInt(len(self._axiom_terms)))
            self._axiom_terms.append(text)
        return found

    def _facts(self, kind: str, terms: Any) -> list[Term]:
        chosen = self._list(terms)
        chosen.removeIf(self._other_than[kind])
        columns = [self._texts(chosen, argument) for argument in self._arguments[: _FACTS[kind]]]
        whole = [column for column in columns if column is not None]
        if len(whole) < len(columns):
            return [self._term(term) for term in chosen]
        return [(kind, *arguments) for arguments in zip(*whole, strict=True)]

    def _texts(self, terms: Any, function: Any) -> list[str] | None:
        """What a function makes of each term; None if there is a line break in a text."""
        if terms.isEmpty():
            return []
        texts = self._list(terms)
        texts.replaceAll(function)
        lines = str(self._join("\n", texts)).split("\n")
        return lines if len(lines) == terms.size() else None

    def _term(self, term: Any) -> Term:
        if not isinstance(term, self._appl):
            return (str(term),)
        name = str(term.getName())
        count = 1 if name == "rule" else int(term.getArity())
        return (name, *(self._argument(term.getArgument(i)) for i in range(count)))

    def _argument(self, term: Any) -> str:
        if isinstance(term, self._appl):
            if self._terms.isLiteral(term):
                return str(self._terms.getLiteralValue(term))
            if not term.getArity():
                return str(term.getName())
        return str(term)


_FACTS = {"prop": 3, "type": 2}
"""Kinds of facts, with the number of their arguments."""


class _Functions:
    """What Java's collections do with each element, without coming back to Python."""

    def __init__(self, numbers: Any) -> None:
        java = jpype.JClass
        self._handles = java("java.lang.invoke.MethodHandles")
        self._proxies = java("java.lang.invoke.MethodHandleProxies")
        self._kind = java("java.lang.invoke.MethodType").methodType
        self._look = self._handles.publicLookup()
        self._any = java("java.lang.Object").class_
        self._text = java("java.lang.String").class_
        self._term = java("aterm.ATermAppl").class_
        self._function = java("java.util.function.Function").class_
        self._operator = java("java.util.function.UnaryOperator").class_
        # term → numbers.computeIfAbsent(term, whatever → numbers.size())
        size = self._method(numbers.getClass(), "size", jpype.JInt).bindTo(numbers)
        count = self._as(self._function, self._handles.dropArguments(size, 0, [self._any]))
        put = self._method(
            numbers.getClass(), "computeIfAbsent", self._any, self._any, self._function
        )
        self.number = self._as(
            self._operator, self._handles.insertArguments(put.bindTo(numbers), 1, [count])
        )
        self.as_int = self._as(
            java("java.util.function.ToIntFunction").class_,
            self._method(java("java.lang.Integer").class_, "intValue", jpype.JInt),
        )
        self.name = self._as(self._operator, self._method(self._term, "getName", self._text))
        self.arguments = [self._argument(number) for number in range(max(_FACTS.values()))]

    def other_than(self, kind: str) -> Any:
        """Predicate: is a term's function another one?"""
        equals = self._method(self._text, "equals", jpype.JBoolean, self._any).bindTo(
            jpype.JString(kind)
        )
        name = self._method(self._term, "getName", self._text)
        named = self._handles.filterReturnValue(
            name, equals.asType(self._kind(jpype.JBoolean, self._text))
        )
        return self._as(jpype.JClass("java.util.function.Predicate").class_, named).negate()

    def _argument(self, number: int) -> Any:
        """Function: a term's argument as text; of a literal its value."""
        utils = jpype.JClass("org.mindswap.pellet.utils.ATermUtils").class_
        name = self._method(self._term, "getName", self._text)
        whole = self._method(self._any, "toString", self._text).asType(name.type())
        plain = self._handles.guardWithTest(
            self._static(utils, "isPrimitive", jpype.JBoolean, self._term), name, whole
        )
        text = self._handles.guardWithTest(
            self._static(utils, "isLiteral", jpype.JBoolean, self._term),
            self._static(utils, "getLiteralValue", self._text, self._term),
            plain,
        )
        term = jpype.JClass("aterm.ATerm").class_
        argument = self._handles.insertArguments(
            self._method(self._term, "getArgument", term, jpype.JInt), 1, [jpype.JInt(number)]
        )
        return self._as(
            self._operator,
            self._handles.filterReturnValue(argument, text.asType(self._kind(self._text, term))),
        )

    def _method(self, owner: Any, name: str, result: Any, *arguments: Any) -> Any:
        return self._look.findVirtual(owner, name, self._signature(result, arguments))

    def _static(self, owner: Any, name: str, result: Any, *arguments: Any) -> Any:
        return self._look.findStatic(owner, name, self._signature(result, arguments))

    def _signature(self, result: Any, arguments: tuple[Any, ...]) -> Any:
        return self._kind(result, list(arguments)) if arguments else self._kind(result)

    def _as(self, interface: Any, handle: Any) -> Any:
        return self._proxies.asInterfaceInstance(interface, handle)
