"""Rules of our own making to records; rule sets of the data folder as a whole."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ontology.taxonomy import ATTACK_CLASSES
from rules.signatures.parse import (
    Fault,
    Signature,
    classify,
    load_signatures,
    read_rule,
    read_rules,
)
from rules.signatures.payload_options import (
    ByteJump,
    ByteTest,
    Content,
    DataAt,
    Expression,
    read_expression,
)

DATA = Path(os.environ.get("ONTOIDPS_DATA", "/nonexistent"), "rules")


def rule(options: str, header: str = "tcp any any -> any 80") -> Signature:
    return read_rule(f'alert {header} (msg:"example"; {options} sid:1000001; rev:2;)')


def test_a_rule_becomes_a_record() -> None:
    signature = read_rule(
        'alert tcp $EXTERNAL_NET any -> $HTTP_SERVERS [80,8000:8010] (msg:"Example overflow on '
        'Solaris"; flow:to_server,established; content:"GET |2F|x"; nocase; offset:0; depth:9; '
        "reference:cve,2001-0500; reference:url,example.org/a,b; classtype:attempted-admin; "
        "sid:1000001; rev:3;)",
        group="example",
    )
    assert (signature.gid, signature.sid, signature.revision) == (1, 1000001, 3)
    assert signature.message == "Example overflow on Solaris"
    assert (signature.attack_class, signature.systems) == ("BufferOverflow", ("Solaris",))
    assert signature.cves == ("CVE-2001-0500",)
    assert signature.references == (("cve", "2001-0500"), ("url", "example.org/a,b"))
    assert (signature.source, signature.target_ports) == ("$EXTERNAL_NET", "[80,8000:8010]")
    assert (signature.header.to_server, signature.header.established) == (True, True)
    assert signature.checks == (Content(pattern=b"GET /x", nocase=True, offset=0, depth=9),)
    assert signature.enabled and signature.executable


def test_modifiers_belong_to_the_content_before() -> None:
    found = rule(
        'content:"one"; depth:10; content:!"two"; distance:2; within:-0x4; http_uri; '
        'uricontent:"/a"; content:"three"; endswith; fast_pattern:only;'
    )
    assert found.checks == (
        Content(pattern=b"one", depth=10),
        Content(pattern=b"two", negated=True, distance=2, within=-4, buffer="http.uri"),
        Content(pattern=b"/a", buffer="http.uri"),
        Content(pattern=b"three", at_end=True, fast=True),
    )


def test_numbers_in_payloads_are_read() -> None:
    found = rule(
        "byte_test:4,>,0x100,-4,relative,little; byte_jump:4,2,align,multiplier 3,post_offset -1; "
        "isdataat:!20,relative; byte_test:5,<,65537,0,string,dec;"
    )
    assert found.executable
    assert found.checks == (
        ByteTest(count=4, operator=">", value=256, offset=-4, relative=True, little=True),
        ByteJump(count=4, offset=2, align=True, multiplier=3, after=-1),
        DataAt(count=20, relative=True, negated=True),
        ByteTest(count=5, operator="<", value=65537, offset=0, base=10),
    )


def test_expressions_carry_their_flags() -> None:
    assert read_expression(r'!"/^a\d+/Uism"') == Expression(
        pattern=rb"^a\d+",
        buffer="http.uri",
        caseless=True,
        dotall=True,
        multiline=True,
        negated=True,
    )
    assert read_expression('"/x/R"').relative


def test_the_classic_catastrophe_is_linear() -> None:
    expression = read_expression('"/(a+)+$/"').compile()
    begin = time.process_time()
    assert expression.search(b"a" * 60_000 + b"b") is None
    assert time.process_time() - begin < 2  # a backtracking engine needs 2**60000 steps


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("flowbits:isset,a,b;", "flowbits (isset)"),
        ("threshold:type odd, track by_src, count 5, seconds 60;", "threshold (type odd)"),
        ("ttl:<5;", "ttl"),
        ("flow:sideways;", "flow (sideways)"),
        ('pcre:"/a/X";', "pcre (flag X)"),
        ("nocase;", "nocase (without a content before it)"),
        ('content:"a"; within:length;', "within (not a number)"),
    ],
)
def test_what_is_not_carried_out_is_named(options: str, reason: str) -> None:
    found = rule(options)
    assert found.unsupported == (reason,)
    assert not found.executable


def test_side_effects_do_not_hinder() -> None:
    assert rule(
        'content:"a"; flowbits:set,x; threshold:type limit, track by_src, count 1, seconds 60;'
    ).executable


@pytest.mark.parametrize(
    ("classtype", "message", "name"),
    [
        ("web-application-attack", "Example SQL Injection in id", "SqlInjection"),
        ("web-application-attack", "Example directory traversal", "PathTraversal"),
        ("web-application-attack", "Example", "WebAttack"),
        ("shellcode-detect", "Example", "BufferOverflow"),
        ("attempted-dos", "Example", "DenialOfService"),
        ("policy-violation", "Example SQL injection tool download", None),
        ("never-heard-of", "Example", "UnknownAnomaly"),
    ],
)
def test_class_of_a_rule(classtype: str, message: str, name: str | None) -> None:
    found, confidence = classify(classtype, message)
    assert found == name
    assert (name is None) == (confidence == 0)
    assert name is None or name in ATTACK_CLASSES


def test_files_are_read_with_comments_faults_and_repeats(tmp_path: Path) -> None:
    path = tmp_path / "own.rules"
    path.write_bytes(
        b"# alert is a word of this comment (really)\n"
        b'alert tcp any any -> any 21 (msg:"old"; sid:7; rev:1;)\n'
        b'alert tcp any any -> any 21 (msg:"new \xc3\xa9"; \\\n  sid:7; rev:2;)\n'
        b'#alert udp any any -> any 53 (msg:"off"; content:"\xff"; sid:8;)\n'
        b'alert tcp any any -> any 21 (msg:"no sid";)\n'
        b"alert tcp any any (msg:x; sid:9;)\n"
    )
    loaded = load_signatures([tmp_path])
    assert [(s.sid, s.message, s.enabled) for s in loaded.signatures] == [
        (7, "new é", True),
        (8, "off", False),
    ]
    assert loaded.signatures[1].checks == (Content(pattern=b"\xff"),)
    assert [fault.line for fault in loaded.faults] == [6, 7]
    assert loaded.repeated == 1
    assert [s.sid for s in loaded.executable] == [7]


def test_no_rule_at_all_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.rules").write_text("# nothing\n")
    with pytest.raises(ValueError, match="no rule in"):
        load_signatures([tmp_path])
    with pytest.raises(ValueError, match="no such file"):
        load_signatures([tmp_path / "absent.rules"])


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ('accept:hook tcp:all any any -> any 22 (msg:"a"; sid:1;)', [(1, "action 'accept:hook'")]),
        ("drop:packet tcp:all any any -> any any (sid:1;)", [(1, "action 'drop:packet'")]),
        ('\n\nconfig dns any any -> any any (msg:"c"; sid:3;)', [(3, "action 'config'")]),
        ("var HOME_NET any\n", [(1, "action 'var'")]),
        ("# alert of prose\nalert prose\n", [(2, "unreadable")]),
        ("alert tcp any any -> any any \\\n (msg:1;", [(1, "unreadable")]),
        ("alert tcp any any -> any any \\", [(1, "unreadable")]),
    ],
)
def test_no_line_vanishes(text: str, faults: list[tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "one.rules").write_text(text)
    loaded = load_signatures([tmp_path])
    assert loaded.signatures == ()
    assert [fault.line for fault in loaded.faults] == [line for line, _ in faults]
    assert all(f.reason.startswith(r) for f, (_, r) in zip(loaded.faults, faults, strict=True))


def test_a_rule_of_both_directions_is_known_and_not_executable() -> None:
    found = read_rule('alert http any any => any any (msg:"x"; http.uri; content:"/a"; sid:1;)')
    assert found.unsupported == ("=> (request and response in one rule)",)


def test_folders_in_a_folder_are_searched(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "own.rules").write_text('alert ip any any -> any any (msg:"x"; sid:5;)')
    assert [s.sid for s in load_signatures([tmp_path]).signatures] == [5]


WORDS = st.sampled_from(
    'alert |tcp any any -> any any |(|)|msg:|"|sid:1;|\\|;|#|,|content:|pcre:|"/a/i"|byte_test:'
    "|4,>,1,0|within:5;|!|\n|[|]|metadata:|flags:S;|dsize:>1;|rev:|gid:x;|$A|é|\x00"
    "|byte_jump:1,0;".split("|")
)


@given(st.lists(WORDS, max_size=30).map("".join) | st.text(max_size=80))
def test_no_text_breaks_the_parser(text: str) -> None:
    for prefix in ("", "alert tcp any any -> any any ("):
        for found in read_rules(prefix + text, Path("x")):
            assert isinstance(found, (Signature, Fault))


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="ONTOIDPS_DATA names no folder with rules/")
def test_the_distribution_rules_are_loaded_and_mostly_executable() -> None:
    loaded = load_signatures([DATA / "snort2_gpl"])
    assert len(loaded.signatures) >= 3_150
    assert not loaded.faults
    executable = sum(s.executable for s in loaded.signatures)
    assert executable / len(loaded.signatures) > 0.75
    assert {s.attack_class for s in loaded.signatures} <= ATTACK_CLASSES | {None}
