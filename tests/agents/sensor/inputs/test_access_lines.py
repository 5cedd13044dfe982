"""What is taken apart by hand is what the table's pattern finds, on whole lines and broken ones."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sensor.inputs.access_lines import read_access
from agents.sensor.inputs.format_tables import shipped_table

SAMPLES = [
    line
    for line in Path(__file__).with_name("samples").joinpath("access.log").read_bytes().splitlines()
    if not line.startswith(b"#=")
]
COMBINED = (
    b'192.0.2.66 - bob [16/Nov/2026:12:11:24 +0000] "GET /a?b=c HTTP/1.1" 200 512 '
    b'"https://www.example.org/" "curl/8" "203.0.113.7"'
)
PIECES = [b'"', b"\\", b" ", b"[", b"]", b"-", b":", b"\t", b"\xff", b"200", b"GET ", b"::1", b""]


def by_pattern(line: bytes) -> dict[str, str | None] | None:
    pattern = shipped_table("access").pattern
    found = pattern.match(line)
    if found is None:
        return None
    return {
        name.decode(): None if found[index] is None else found[index].decode("utf-8", "replace")
        for name, index in pattern.groupindex.items()
    }


def test_most_lines_need_no_pattern() -> None:
    quick = [read_access(line) for line in (*SAMPLES, COMBINED)]
    assert sum(one is not None for one in quick) > len(quick) // 2
    assert read_access(COMBINED) == by_pattern(COMBINED)


@settings(max_examples=400, deadline=None)
@given(
    line=st.sampled_from([*SAMPLES, COMBINED]),
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 3), st.sampled_from(PIECES)), max_size=4
    ),
)
def test_it_agrees_with_the_pattern(line: bytes, changes: list[tuple[float, int, bytes]]) -> None:
    for place, gone, piece in changes:
        begin = int(place * len(line))
        line = line[:begin] + piece + line[begin + gone :]
    quick = read_access(line)
    assert quick is None or quick == by_pattern(line)
