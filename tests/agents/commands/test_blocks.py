from pathlib import Path

import pytest

from agents.main import main
from agents.settings.honeynet import Settings


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "FILE", "fe80::1%eth0", "--reason", "x"], "'fe80::1%eth0' has a scope id"),
        (["add", "FILE", "host", "--reason", "x"], "'host' is not an IP address"),
        (
            ["add", "FILE", "192.0.2.1", "--for", "soon", "--reason", "x"],
            "'soon' is not a duration",
        ),
        (["extend", "FILE", "192.0.2.1", "--by", "1", "--reason", "x"], "'1' is not a duration"),
    ],
)
def test_bad_words_are_named(
    words: list[str], said: str, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["blocks", *(str(honeynet_file) if w == "FILE" else w for w in words)])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_another_host_says_where_to_ask(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["blocks", "list", str(honeynet_file)]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "on the host of node 'gw1': ask there" in said


def test_an_unknown_gateway_is_named(
    honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["blocks", "list", str(honeynet_file), "--gateway", "gw9"]) == 1
    assert "no node is named 'gw9' (known: gw1, gw2)" in capsys.readouterr().err
