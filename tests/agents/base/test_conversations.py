import asyncio
from dataclasses import replace

import pytest

from agents.base.conversations import MAX_OPEN, Conversations, RefusedByPeer
from agents.messages.acl import AclMessage

QUESTION = AclMessage(
    performative="request",
    sender="me@x",
    receivers=("you@x",),
    content="-",
    protocol="fipa-request",
    conversation_id="c-1",
    reply_with="m-1",
)
ANSWER = replace(
    QUESTION, performative="inform", sender="you@x", receivers=("me@x",), reply_with="m-2",
    in_reply_to="m-1",
)  # fmt: skip


async def test_an_agree_is_waited_past_and_the_answer_arrives() -> None:
    open_ = Conversations()
    answer = open_.open(QUESTION)
    assert open_.take(replace(ANSWER, performative="agree"), ())
    assert not answer.done()
    assert open_.take(ANSWER, ())
    assert (await answer).message == ANSWER


@pytest.mark.parametrize(
    "forged",
    [
        replace(ANSWER, sender="other@x"),
        replace(ANSWER, conversation_id="c-2"),
        replace(ANSWER, in_reply_to="m-9"),
        replace(ANSWER, in_reply_to=""),
    ],
)
async def test_an_answer_comes_from_who_was_asked_to_what_was_asked(forged: AclMessage) -> None:
    open_ = Conversations()
    answer = open_.open(QUESTION)
    assert not open_.take(forged, ())
    assert not answer.done()


@pytest.mark.parametrize("performative", ["refuse", "failure", "not-understood"])
async def test_a_refusal_is_raised(performative: str) -> None:
    open_ = Conversations()
    answer = open_.open(QUESTION)
    assert open_.take(replace(ANSWER, performative=performative), ())
    with pytest.raises(RefusedByPeer, match=f"you@x: {performative}"):
        await answer


async def test_the_message_layer_may_refuse_too() -> None:
    open_ = Conversations()
    answer = open_.open(QUESTION)
    assert not open_.refused("m-9", "role")
    assert open_.refused("m-1", "role")
    with pytest.raises(RefusedByPeer, match="role"):
        await answer


async def test_a_closed_question_takes_no_answer_and_there_is_a_bound() -> None:
    open_ = Conversations()
    for number in range(MAX_OPEN):
        open_.open(replace(QUESTION, reply_with=f"m-{number}"))
    with pytest.raises(RuntimeError, match=str(MAX_OPEN)):
        open_.open(QUESTION)
    open_.close(replace(QUESTION, reply_with="m-1"))
    assert len(open_) == MAX_OPEN - 1
    assert not open_.take(ANSWER, ())
    await asyncio.sleep(0)
