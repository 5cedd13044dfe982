from __future__ import annotations

import base64
import zlib
from dataclasses import replace
from typing import cast
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slixmpp import ClientXMPP
from slixmpp.stanza import Message as Stanza
from slixmpp.xmlstream.tostring import tostring
from spade.message import Message

from agents.messages.acl import (
    EMPTY_CONTENT,
    MAX_CONTENT_BYTES,
    PERFORMATIVES,
    REQUIRED,
    AclMessage,
    MessageError,
    canonical_form,
    format_date_time,
    from_metadata,
    from_spade,
    parse_date_time,
    to_metadata,
    to_spade,
    to_stanza,
)

WORDS = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"),
    min_size=1,
    max_size=40,
).filter(lambda text: text == text.strip())
JIDS = st.from_regex(r"[a-z0-9.]{1,10}@[a-z]{1,10}\.test", fullmatch=True)
CONTENTS = st.text(
    st.characters(
        blacklist_categories=("Cs", "Cc"),
        blacklist_characters="\ufffe\uffff",
        whitelist_characters="\n\t",
    ),
    min_size=1,
    max_size=300,
)
MESSAGES = st.builds(
    AclMessage,
    performative=st.sampled_from(sorted(PERFORMATIVES)),
    sender=JIDS,
    receivers=st.lists(JIDS, min_size=1, max_size=3).map(tuple),
    reply_to=st.lists(JIDS, max_size=2).map(tuple),
    content=CONTENTS,
    language=WORDS,
    protocol=WORDS,
    conversation_id=WORDS,
    reply_with=st.one_of(st.just(""), WORDS),
    in_reply_to=st.one_of(st.just(""), WORDS),
    reply_by_us=st.none() | st.integers(0, 253_402_300_799_999_999),
    sent_us=st.integers(1, 10**18 - 1),
    waited_ms=st.integers(0, 10**18 - 1),
    session=WORDS,
    signature=WORDS,
)


def message(**changes: object) -> AclMessage:
    fields: dict[str, object] = {
        "performative": "inform",
        "sender": "sensor.gw1@honeynet.test",
        "receivers": ("analyzer.gw1@honeynet.test",),
        "protocol": "fipa-subscribe",
        "conversation_id": "c-1",
        "sent_us": 1,
        "session": "n",
        "signature": "s",
    }
    return AclMessage(**(fields | changes))  # type: ignore[arg-type]


@given(MESSAGES)
def test_metadata_round_trip(original: AclMessage) -> None:
    assert from_metadata(to_metadata(original), original.content) == original


@given(MESSAGES)
def test_spade_round_trip(original: AclMessage) -> None:
    assert from_spade(to_spade(original, original.receivers[0])) == original


def parsed(text: str) -> Stanza:
    stream = ElementTree.fromstring(f"<stream xmlns='jabber:client'>{text}</stream>")  # noqa: S314
    return Stanza(CLIENT, xml=stream[0])


CLIENT = ClientXMPP("sensor.gw1@honeynet.test", "unused")


@given(MESSAGES)
def test_survives_the_stanza_and_its_xml(original: AclMessage) -> None:
    """As text, parsed again: what an agent at the other end gets."""
    received = Message.from_node(parsed(to_stanza(original, original.receivers[0])))
    stanza_from = cast(Message, received)
    assert from_spade(stanza_from) == original
    assert str(stanza_from.to) == original.receivers[0]


def test_our_stanza_is_spades() -> None:
    original = message(content='a <b> & "c" ]]> ñ 𝄞\ttab\n', protocol="<p> & 'q'", reply_by_us=1000)
    theirs = to_spade(original, original.receivers[0]).prepare(CLIENT)
    spades = parsed(tostring(theirs.xml, xmlns="jabber:client", stream=CLIENT))
    ours = parsed(to_stanza(original, original.receivers[0]))
    for each in (spades, ours):
        each.xml.attrib.pop("id", None)
        each.xml.attrib.pop("{http://www.w3.org/XML/1998/namespace}lang", None)
    assert ElementTree.canonicalize(ElementTree.tostring(ours.xml)) == ElementTree.canonicalize(
        ElementTree.tostring(spades.xml)
    )


@pytest.mark.parametrize("name", REQUIRED)
def test_missing_parameter_is_named(name: str) -> None:
    metadata = to_metadata(message())
    del metadata[name]
    with pytest.raises(MessageError, match=name):
        from_metadata(metadata, EMPTY_CONTENT)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"performative": "command"}, "performative 'command'"),
        ({"content": ""}, "content is empty"),
        ({"content": "a\x00b"}, r"U\+0000"),
        ({"content": "\ud800"}, r"U\+D800"),
        ({"content": "x" * MAX_CONTENT_BYTES}, "200000 bytes"),
        ({"content": "<" * 70_000}, "once escaped"),
        ({"sender": "sensor@honeynet.test/resource"}, "sender"),
        ({"receivers": ()}, "receiver"),
        ({"receivers": ("a@b\nfrom:evil@b",)}, "receiver"),
        ({"conversation_id": "a\nsession:b"}, "conversation-id"),
        ({"conversation_id": " outer"}, "conversation-id"),
        ({"protocol": "p" * 1025}, "protocol"),
        ({"reply_by_us": -1}, "reply-by"),
    ],
)
def test_bad_value_is_named(changes: dict[str, object], named: str) -> None:
    with pytest.raises(MessageError, match=named):
        message(**changes)


def test_unknown_parameter_is_refused() -> None:
    with pytest.raises(MessageError, match="'extra'"):
        from_metadata(to_metadata(message()) | {"extra": "1"}, EMPTY_CONTENT)


@pytest.mark.parametrize("sent", ["-1", "1.0", "٣", "9" * 19, "soon"])
def test_sent_us_must_be_a_time(sent: str) -> None:
    with pytest.raises(MessageError, match="sent-us"):
        from_metadata(to_metadata(message()) | {"sent-us": sent}, EMPTY_CONTENT)


def test_sender_must_be_who_the_server_says() -> None:
    forged = to_spade(message(), "analyzer.gw1@honeynet.test")
    forged.sender = "analyzer.gw2@honeynet.test/bus"
    with pytest.raises(MessageError, match="came from"):
        from_spade(forged)


@given(MESSAGES, MESSAGES)
def test_canonical_forms_of_different_messages_differ(one: AclMessage, other: AclMessage) -> None:
    same = replace(one, signature="") == replace(other, signature="")
    assert (canonical_form(one) == canonical_form(other)) == same


def test_line_ends_are_signed_as_they_arrive() -> None:
    assert canonical_form(message(content="a\r\nb\rc")) == canonical_form(
        message(content="a\nb\nc")
    )


@given(st.integers(0, 253_402_300_799_999))
def test_date_time_round_trip(milliseconds: int) -> None:
    assert parse_date_time(format_date_time(milliseconds * 1000)) == milliseconds * 1000


def test_date_time_is_fipas() -> None:
    assert format_date_time(1_700_000_000_123_456) == "20231114T221320123Z"


@pytest.mark.parametrize(
    "text", ["", "20231314T221320123Z", "2023", "+00000000T000001000", "x" * 999]
)
def test_bad_date_time_is_refused(text: str) -> None:
    with pytest.raises(MessageError, match="DateTime"):
        parse_date_time(text)


@given(
    st.dictionaries(st.sampled_from(REQUIRED) | st.text(max_size=9), st.text(max_size=50)),
    st.text(),
)
def test_hostile_metadata_only_raises_message_error(metadata: dict[str, str], content: str) -> None:
    base = to_metadata(message())
    try:
        from_metadata(base | metadata, content)
    except MessageError as e:
        assert str(e)


def long_message() -> AclMessage:
    return message(content="<urn:uuid:1> a <https://w3id.org/ontoidps#Alert> .\n" * 2000)


def test_long_contents_travel_packed_and_come_back_whole() -> None:
    original = long_message()
    wire = to_spade(original, original.receivers[0])
    assert len(wire.body) < len(original.content) / 8
    assert wire._metadata["encoding"] == "x-deflate-base64"
    assert from_spade(wire) == original
    assert canonical_form(from_spade(wire)) == canonical_form(original)


@pytest.mark.parametrize(
    "body",
    [
        base64.b64encode(zlib.compress(b"a" * 50_000_000)).decode(),
        base64.b64encode(zlib.compress(b"a" * 9000)[:-4]).decode(),
        base64.b64encode(zlib.compress(b"a" * 9000) + b"more").decode(),
        base64.b64encode(zlib.compress(b"\xff\xfe" * 9000)).decode(),
        base64.b64encode(b"not deflated").decode(),
        "not base64!",
        "",
    ],
    ids=["bomb", "cut off", "more behind it", "not UTF-8", "not deflate", "not base64", "empty"],
)
def test_what_is_badly_packed_is_refused(body: str) -> None:
    wire = to_spade(long_message(), long_message().receivers[0])
    wire.body = body
    with pytest.raises(MessageError):
        from_spade(wire)
