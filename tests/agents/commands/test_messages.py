from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from agents.base.message_log import MessageLog, log_folder
from agents.main import main
from agents.messages.acl import AclMessage
from agents.settings.honeynet import Settings


@pytest.fixture
def kept(bare_honeynet: Settings) -> None:
    """Five messages that the supervisor received."""
    jid = bare_honeynet.jid("supervisor", "gw1")
    with closing(MessageLog(log_folder(bare_honeynet.state_dir, jid), 1 << 20, Counter())) as log:
        for number in range(5):
            message = AclMessage(
                performative="inform",
                sender=bare_honeynet.jid("sensor", "gw1"),
                receivers=(jid,),
                conversation_id=f"c{number}",
            )
            log.add(message, "received", 1_790_000_000_000_000 + number, "accepted")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--performative", "infrom"], "there is no 'infrom'; did you mean 'inform'? (known: "),
        (["--performative", "unknownword"], "there is no 'unknownword' (known: accept-proposal"),
        (["--record", "alert"], "there is no 'alert'; did you mean 'Alert'?"),
        (["--record", "Nothing"], "--record: there is no 'Nothing' (known: "),
    ],
)
def test_a_word_that_no_message_can_have_is_refused(
    kept: None,
    words: list[str],
    said: str,
    honeynet_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["messages", str(honeynet_file), *words]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_nothing_that_fits_is_said_so(
    kept: None, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["messages", str(honeynet_file), "--performative", "refuse"]) == 0
    assert capsys.readouterr() == ("", "no message that is kept is like this\n")


@pytest.mark.parametrize(
    ("last", "shown", "said"),
    [("2", 2, "showing 2 of 5 (--last 0 shows all)\n"), ("5", 5, ""), ("0", 5, ""), ("9", 5, "")],
)
def test_a_part_is_called_one(
    kept: None,
    last: str,
    shown: int,
    said: str,
    honeynet_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["messages", str(honeynet_file), "--last", last]) == 0
    out, error = capsys.readouterr()
    assert out.count("\n") == shown and error == said
