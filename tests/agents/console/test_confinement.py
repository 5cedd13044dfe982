"""The page's process can't open other agents' files: shown by a process that tries."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agents.base.local import listen_on, socket_path
from agents.base.message_log import log_folder
from agents.console import confinement
from agents.console.confinement import around
from agents.settings.honeynet import Settings

ROOT = Path(__file__).parents[3]
landlock = pytest.mark.skipif(not confinement.supported(), reason="the kernel has no Landlock")
DENIED = "Permission denied"


def tried(honeynet_file: Path, *tries: tuple[str, object]) -> list[str]:
    """What became of each try in a confined process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.agents.console.confined_console", str(honeynet_file)],
        input=json.dumps([[what, str(x) if isinstance(x, Path) else x] for what, x in tries]),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


@pytest.fixture
def filled(honeynet: Settings, honeynet_file: Path) -> Settings:
    """A honeynet whose other agents have left things behind."""
    for role in ("supervisor", "ontology"):
        folder = honeynet.state_dir / honeynet.jids(role)[0]  # type: ignore[arg-type]
        folder.mkdir(parents=True)
        for name in ("ledger.sqlite3", "mail.sqlite3"):
            (folder / name).write_text("not for the page")
    log = log_folder(honeynet.state_dir, honeynet.jids("supervisor")[0])
    log.mkdir(parents=True)
    (log / "messages.fipa").write_text("a message")
    return honeynet


@landlock
def test_others_keys_and_ledgers_are_out_of_reach_also_for_threads_and_children(
    filled: Settings, honeynet_file: Path
) -> None:
    keys, supervisor = filled.state_dir / "keys", filled.jids("supervisor")[0]
    ledger = filled.state_dir / supervisor / "ledger.sqlite3"
    key = keys / f"{supervisor}.key"
    assert os.geteuid() != 0 or key.read_bytes(), "also where we run as root"
    found = tried(
        honeynet_file,
        ("read", key),
        ("read", keys / f"{supervisor}.password"),
        ("read in a thread", key),
        ("write", key),
        ("remove", key),
        ("list", keys),
        ("read", ledger),
        ("write", ledger),
        ("remove", ledger),
        ("list", filled.state_dir),
        ("write", filled.state_dir / "new"),
        ("write", filled.state_dir / "console" / "users.json"),
        ("read", Path("/etc/shadow")),
        ("write", ROOT / "agents" / "new.py"),
    )
    assert found == [DENIED] * len(found)
    (child,) = tried(honeynet_file, ("read in a child", key))
    assert child.endswith(DENIED)
    assert ledger.read_text() == "not for the page"


@landlock
def test_it_takes_no_other_agents_place_on_the_links_of_its_node(
    honeynet: Settings, honeynet_file: Path
) -> None:
    """Who removes the analyzer's socket and listens in its place gets what the sensor sends."""
    others, own = (socket_path(honeynet, role, "gw1") for role in ("analyzer", "console"))
    with listen_on(others):
        found = tried(
            honeynet_file,
            ("remove", others),
            ("listen at", others.with_name("other.sock")),
            ("listen at", others.parents[1] / "other.sock"),
            ("listen at", own),
            ("remove", own),
            ("reach", others),
        )
    assert found == [DENIED] * 3 + ["done"] * 3


@landlock
def test_what_it_needs_is_within_reach(filled: Settings, honeynet_file: Path) -> None:
    own = filled.jids("console")[0]
    keys = filled.state_dir / "keys"
    log = log_folder(filled.state_dir, filled.jids("supervisor")[0])
    found = tried(
        honeynet_file,
        ("read", keys / f"{own}.key"),
        ("read", keys / "keyring.json"),
        ("read", filled.state_dir / "console" / "users.json"),
        ("read", log / "messages.fipa"),
        ("store", filled.state_dir / own / "try.sqlite3"),
        ("write", log_folder(filled.state_dir, own) / "messages.fipa"),
        ("import", "wsgiref.handlers"),
        ("import", "agents.evaluation.report"),
    )
    assert found == ["done"] * len(found)


@landlock
@pytest.mark.skipif(confinement.supported() < 6, reason="the kernel's Landlock knows no signals")
def test_it_reaches_no_other_port_and_stops_no_other_process(
    honeynet: Settings, honeynet_file: Path, new_port: object
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_server(("127.0.0.1", honeynet.xmpp.port)),
        subprocess.Popen(["sleep", "60"]) as sleeper,
    ):
        try:
            found = tried(
                honeynet_file,
                ("connect", other.getsockname()[1]),
                ("listen", 0),
                ("kill", sleeper.pid),
                ("connect", honeynet.xmpp.port),
            )
        finally:
            sleeper.kill()
    assert found == [DENIED, DENIED, "Operation not permitted", "done"]


def test_without_landlock_it_says_so_and_goes_on(
    honeynet: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel's answer when it has none (ENOSYS, EOPNOTSUPP) is below zero."""
    from agents.base import AgentContext
    from agents.console.agent import ConsoleAgent

    monkeypatch.setattr(confinement, "_call", lambda *_: -1)
    changed = honeynet.model_copy(
        update={"console": honeynet.console.model_copy(update={"listen": "127.0.0.1:0"})}
    )
    agent = ConsoleAgent(AgentContext(settings=changed, role="console", node="gw1"))
    agent.enter_process()
    assert "no Landlock" in caplog.text
    sock, (at_socket, _), _ = agent._take()
    sock.close()
    at_socket.close()


def test_a_folder_around_a_hole_is_all_but_the_hole(tmp_path: Path) -> None:
    for name in ("a/state/keys", "a/code", "b"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "state")
    hole = tmp_path / "a" / "state"
    assert set(around(tmp_path, hole)) == {tmp_path / "a" / "code", tmp_path / "b"}
    assert list(around(tmp_path / "b", hole)) == [tmp_path / "b"]
    assert list(around(hole, hole)) == []
    assert list(around(hole / "keys", hole)) == [hole / "keys"]
