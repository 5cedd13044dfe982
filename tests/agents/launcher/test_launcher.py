"""What the launcher checks before it starts anything; its watching is in tests/e2e."""

import asyncio
from pathlib import Path

import pytest

from agents.launcher.launcher import ALONE_LIMIT_S, Child, Launcher
from agents.main import main
from agents.settings.honeynet import Settings


def test_a_host_without_keys_is_told_once_what_to_type(
    bare_honeynet: Settings, honeynet_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["up", str(honeynet_file), "--node", "gw2"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "keyring.json: not there; on node 'gw1': `ontoidps enrol FILE --node gw2" in said
    assert not (bare_honeynet.state_dir / "run" / "gw2.json").exists()


def test_enrol_and_import_make_a_second_host_ready(
    honeynet_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = tmp_path / "bundle"
    assert main(["enrol", str(honeynet_file), "--node", "gw2", "--out", str(bundle)]) == 0
    other = tmp_path / "other"
    other.mkdir()
    there = other / "honeynet.toml"
    there.write_text(honeynet_file.read_text())
    assert main(["enrol", str(there), "--import", str(bundle)]) == 0
    assert "this host can run gw2" in capsys.readouterr().out
    # What it has no keys for it does not start.
    assert main(["up", str(there), "--node", "gw1"]) == 1
    assert "import a bundle of node 'gw1'" in capsys.readouterr().err


async def test_a_full_disk_does_not_end_the_agents(
    bare_honeynet: Settings, honeynet_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run files are for `status` only; said once, not each second."""
    launcher = Launcher(bare_honeynet, honeynet_file, bare_honeynet.node)
    no_folder = bare_honeynet.state_dir / "run"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(launcher._report(no_folder), 2.5)
    assert caplog.text.count("`ontoidps status` is out of date") == 1


def test_an_agent_without_a_session_is_told_once(
    bare_honeynet: Settings, honeynet_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    launcher = Launcher(bare_honeynet, honeynet_file, bare_honeynet.node)
    child = Child("sensor", "gw2", bare_honeynet.jid("sensor", "gw2"), health={"connected": False})
    for second in range(30):
        launcher._tell_if_alone(child, 100.0 + second)
        assert len(caplog.records) == (second >= ALONE_LIMIT_S)
    assert f"no session on the XMPP server 127.0.0.1 port {bare_honeynet.xmpp.port}" in caplog.text
