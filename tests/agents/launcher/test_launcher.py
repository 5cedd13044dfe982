"""What the launcher checks before it starts anything; its watching is in tests/e2e."""

import asyncio
from pathlib import Path

import pytest

from agents.launcher.child import Child
from agents.launcher.launcher import ALONE_LIMIT_S, Launcher
from agents.launcher.node_state import ask_launcher
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
    """Told once in the log, and each time to whoever asks, until it is over."""
    launcher = Launcher(bare_honeynet, honeynet_file, bare_honeynet.node)
    folder = bare_honeynet.state_dir / "run"
    (folder / "gw2.json.new").mkdir(parents=True)  # can't be opened for writing
    reporting = asyncio.ensure_future(launcher._report(folder))
    try:
        await asyncio.sleep(2.5)
        said = await asyncio.to_thread(ask_launcher, folder / "gw1.sock")
        assert said["trouble"].endswith("gw2.json.new: Is a directory")
        assert caplog.text.count("can't be kept there") == 1
        (folder / "gw2.json.new").rmdir()
        await asyncio.sleep(1.5)
        assert (await asyncio.to_thread(ask_launcher, folder / "gw1.sock"))["trouble"] == ""
    finally:
        launcher._stopping.set()
        await reporting
    assert not list(folder.glob("*.sock"))


def test_an_agent_without_a_session_is_told_once(
    bare_honeynet: Settings, honeynet_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    launcher = Launcher(bare_honeynet, honeynet_file, bare_honeynet.node)
    child = Child("sensor", "gw2", bare_honeynet.jid("sensor", "gw2"), health={"connected": False})
    for second in range(30):
        launcher._tell_if_alone(child, 100.0 + second)
        assert len(caplog.records) == (second >= ALONE_LIMIT_S)
    assert f"no session on the XMPP server 127.0.0.1 port {bare_honeynet.xmpp.port}" in caplog.text
