"""``ontoidps alerts`` without a console; with one: tests/agents/console/test_api_evidence.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.main import main
from agents.settings.honeynet import Settings


@pytest.mark.parametrize("limit", ["0", "-1", "5001", "many", "9" * 20])
def test_a_limit_that_is_none_is_named(
    limit: str, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["alerts", "list", str(honeynet_file), f"--limit={limit}"])
    assert stop.value.code == 2
    assert "is not a number from 1 to 5000" in capsys.readouterr().err


def test_another_host_says_where_to_ask(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alerts", "show", str(honeynet_file), "x"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "on the host of node 'gw1': ask there" in said
