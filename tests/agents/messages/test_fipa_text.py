from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.messages.acl import PERFORMATIVES, AclMessage, MessageError
from agents.messages.fipa_text import from_fipa, to_fipa

TEXT = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"),
    min_size=1,
    max_size=30,
).filter(lambda text: text == text.strip())
JIDS = st.from_regex(r"[a-z0-9.]{1,10}@[a-z]{1,10}\.test", fullmatch=True)
MESSAGES = st.builds(
    AclMessage,
    performative=st.sampled_from(sorted(PERFORMATIVES)),
    sender=JIDS,
    receivers=st.lists(JIDS, min_size=1, max_size=3).map(tuple),
    reply_to=st.lists(JIDS, max_size=2).map(tuple),
    content=TEXT | st.just('a "quoted" \\ (content) #3"x"\n'),
    language=TEXT,
    protocol=TEXT
    | st.sampled_from(["fipa-request", "1-begins-with-a-digit", ":colon", 'a\\"b', "@"]),
    conversation_id=TEXT,
    reply_with=st.one_of(st.just(""), TEXT),
    in_reply_to=st.one_of(st.just(""), TEXT),
    reply_by_us=st.none() | st.integers(0, 253_402_300_799_999_999),
    sent_us=st.integers(0, 10**18 - 1),
    waited_ms=st.integers(0, 10**18 - 1),
    session=st.one_of(st.just(""), TEXT),
    signature=st.one_of(st.just(""), TEXT),
)

FOREIGN = b"""(REQUEST
  :sender (agent-identifier :name alice@fipa.test
            :addresses (sequence iiop://fipa.test/acc))
  :receiver (set (agent-identifier :name bob@fipa.test))
  :content "say \\"hello\\""
  :language fipa-sl0 :X-hops 3)
"""


@given(MESSAGES)
def test_round_trip(original: AclMessage) -> None:
    assert from_fipa(to_fipa(original)) == original


def test_written_form() -> None:
    text = to_fipa(
        AclMessage(
            performative="inform",
            sender="a@b.test",
            receivers=("c@d.test",),
            content="ñ",
            conversation_id="7f",
        )
    ).decode()
    assert text.startswith("(inform\n :sender (agent-identifier :name a@b.test)\n")
    assert ' :content #2"ñ"\n' in text  # the length counts bytes
    assert ' :conversation-id "7f"\n' in text  # a word may not begin with a digit


def test_foreign_message() -> None:
    found = from_fipa(FOREIGN)
    assert (found.performative, found.sender, found.receivers) == (
        "request",
        "alice@fipa.test",
        ("bob@fipa.test",),
    )
    assert found.content == 'say "hello"'
    assert (found.language, found.ontology) == ("fipa-sl0", "")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (b"", "byte 0"),
        (b"inform", "parenthesised"),
        (b"(inform", "isn't closed"),
        (b"(inform :sender)", "without a value"),
        (b"(inform :sender x :receiver y)", "agent-identifier"),
        (
            b"(order :sender (agent-identifier :name a@b) "
            b":receiver (set (agent-identifier :name a@b)))",
            "performative 'order'",
        ),
        (b'(inform :content #99"x")', "doesn't end"),
        (b'(inform :content "x)', "isn't closed"),
        (b"(inform :a b :a c)", "twice"),
        (b"(inform) more", "after the message"),
        (b"(" * 5000, "too deep"),
        (b"(inform " + b"x " * 5000 + b")", "too long"),
        (b"x" * 300_000, "the limit is"),
        (b"(inform :sender \xff)", "receiver is missing"),
        (b"(inform :\xff x)", "UTF-8"),
    ],
)
def test_broken_text_is_refused(text: bytes, named: str) -> None:
    with pytest.raises(MessageError, match=named):
        from_fipa(text)


@given(st.binary(max_size=200) | st.text('()" \\#:@0asender', max_size=60).map(str.encode))
def test_any_bytes_only_raise_message_error(data: bytes) -> None:
    with pytest.raises(MessageError):
        from_fipa(b"(inform :content " + data)


@given(MESSAGES, st.data())
def test_damaged_messages_are_refused_or_read(original: AclMessage, data: st.DataObject) -> None:
    raw = bytearray(to_fipa(original))
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert isinstance(from_fipa(bytes(raw)), AclMessage)
    except MessageError as e:
        assert str(e)
