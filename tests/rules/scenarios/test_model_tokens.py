"""Words keep their lines, and what is none is told without an end of the reading."""

from __future__ import annotations

from rules.scenarios.model_tokens import Slip, scan


def test_tokens_with_lines_and_slips() -> None:
    slips: list[Slip] = []
    text = 'a(B) # no word?\n\n \'it\\\'s\' "x\\ty" ?!\nb "\\q" c'
    tokens = [(t.kind, t.value, t.line, t.first) for t in scan(text, slips)]
    assert tokens == [
        ("word", "a", 1, True),
        ("sign", "(", 1, False),
        ("word", "B", 1, False),
        ("sign", ")", 1, False),
        ("constant", "it's", 3, False),
        ("text", "x\ty", 3, False),
        ("word", "b", 4, True),
        ("word", "c", 4, False),
        ("end", "", 4, True),
    ]
    assert [(slip.line, slip.reason) for slip in slips] == [
        (3, "'?!': no word"),
        (4, '"\\\\q": unknown escape'.replace("\\\\", "\\")),
    ]
