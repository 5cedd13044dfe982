from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import agents.launcher.xmpp_server
from agents.launcher.xmpp_server import XmppServer, XmppServerError, scram_account
from agents.settings.honeynet import Settings
from agents.trust.identity import keys_directory, load_password

pytestmark = [
    pytest.mark.xmpp,
    pytest.mark.skipif(
        shutil.which("prosody", path="/usr/bin") is None, reason="prosody is not installed"
    ),
]


@pytest.fixture
def server(honeynet: Settings) -> Iterator[XmppServer]:
    made = XmppServer(honeynet)
    yield made
    made.stop()


def handshake(settings: Settings, name: str | None = None) -> str | None:
    context = ssl.create_default_context(cafile=str(keys_directory(settings) / "ca.crt"))
    with (
        socket.create_connection((settings.xmpp.host, settings.xmpp.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=name or settings.domain) as link,
    ):
        return link.version()


def listening(pid: int) -> set[tuple[str, int]]:
    """Addresses on which the process listens, from /proc (IPv4 and IPv6)."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(entry)
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[9] in inodes and (fields[3] == "0A" or table.startswith("udp")):
                address, port = fields[1].split(":")
                found.add((address, int(port, 16)))
    return found


def test_up_on_one_port_with_its_own_certificate(honeynet: Settings, server: XmppServer) -> None:
    server.start()
    assert server.ready() and server.alive()
    assert handshake(honeynet) == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        handshake(honeynet, "other.test")
    assert server.pid is not None
    assert listening(server.pid) == {("0100007F", honeynet.xmpp.port)}


def test_unprivileged(server: XmppServer) -> None:
    server.start()
    assert server.ready()
    status = Path(f"/proc/{server.pid}/status").read_text()
    uid = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))
    if os.geteuid() == 0:
        assert uid != "0"
    assert oct(server.directory.stat().st_mode & 0o777) == "0o700"


def test_starts_again_on_the_same_port(honeynet: Settings, server: XmppServer) -> None:
    for _ in range(3):
        server.start()
        assert server.ready()
        with socket.create_connection((honeynet.xmpp.host, honeynet.xmpp.port)):
            server.stop()  # with a client on it: its TIME_WAIT must not hold the port
        assert not server.alive()
        assert not server.directory.exists()


def test_comes_back_after_sigkill(honeynet: Settings, server: XmppServer) -> None:
    server.start()
    assert server.ready()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    while server.alive():
        pass
    server.start()
    assert server.ready()
    assert handshake(honeynet)


def test_orphan_of_a_killed_launcher_is_replaced(honeynet: Settings, server: XmppServer) -> None:
    first = XmppServer(honeynet)
    first.start()
    assert first.ready()
    assert first.pid is not None
    server.start()
    assert server.ready() and not first.alive()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_ends_with_a_killed_launcher(honeynet: Settings, honeynet_file: Path) -> None:
    code = (
        "import asyncio, os, sys; from pathlib import Path\n"
        "from agents.settings.honeynet import load_settings\n"
        "from agents.launcher.xmpp_server import XmppServer\n"
        "server = XmppServer(load_settings(Path(sys.argv[1])))\n"
        "async def main():\n"
        "    await asyncio.to_thread(server.start)\n"
        "    assert await asyncio.to_thread(server.ready)\n"
        "    print(server.pid, server.directory, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", code, str(honeynet_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid, directory = done.stdout.split()
    deadline = time.monotonic() + 10
    while agents.launcher.xmpp_server._runs(int(pid)):
        assert time.monotonic() < deadline, "the server outlived its launcher by 10 s"
    shutil.rmtree(directory)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
@pytest.mark.parametrize("how", ["user namespace", "ordinary user"])
def test_runs_for_whoever_starts_it(how: str, honeynet_file: Path) -> None:
    """As root of a user namespace with one mapped id, and as a user without any rights."""
    prefix = ["unshare", "--user", "--map-root-user"]
    if how == "ordinary user":
        if os.geteuid() != 0:
            pytest.skip("the other tests of this file run as an ordinary user already")
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        base = Path(tempfile.mkdtemp(prefix="ontoidps-test-"))
        honeynet_file = Path(shutil.copy(honeynet_file, base))
        os.chown(base, 65534, 65534)
    code = (
        "import sys; from pathlib import Path\n"
        "from agents.settings.honeynet import load_settings\n"
        "from agents.trust.identity import ensure_keys\n"
        "from agents.launcher.xmpp_server import XmppServer\n"
        "settings = load_settings(Path(sys.argv[1])); ensure_keys(settings)\n"
        "server = XmppServer(settings); server.start(); print(server.ready(), server.directory)\n"
        "server.stop()\n"
    )
    probe = [*prefix, sys.executable, "-c", "import agents.launcher.xmpp_server"]
    if subprocess.run(probe, capture_output=True, timeout=60, cwd="/").returncode:
        pytest.skip(f"no {how} here that can read this Python installation")
    command = [*prefix, sys.executable, "-c", code, str(honeynet_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"True {honeynet_file.parent}/state/xmpp\n"
    if how == "ordinary user":
        shutil.rmtree(honeynet_file.parent)


def test_starting_twice_starts_one(server: XmppServer) -> None:
    server.start()
    pid = server.pid
    server.start()
    assert server.pid == pid


def test_taken_port_is_one_clear_line(honeynet: Settings, server: XmppServer) -> None:
    with socket.socket() as squatter:
        squatter.bind((honeynet.xmpp.host, honeynet.xmpp.port))
        squatter.listen()
        with pytest.raises(XmppServerError, match=f"port {honeynet.xmpp.port}") as caught:
            server.start()
    assert "\n" not in str(caught.value)


def test_missing_prosody_is_one_clear_line(
    server: XmppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents.launcher.xmpp_server.shutil, "which", lambda *_a, **_k: None)
    with pytest.raises(XmppServerError, match="apt-get install prosody"):
        server.start()


def test_child_that_ends_is_reported(server: XmppServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents.launcher.xmpp_server, "_CONFIG", "this is not Lua")
    server.start()
    with pytest.raises(XmppServerError, match="ended while starting") as caught:
        server.ready()
    assert "\n" not in str(caught.value)


def test_no_clear_password_reaches_the_disk_of_the_server(
    honeynet: Settings, server: XmppServer
) -> None:
    password = load_password(honeynet, "sensor.gw1@honeynet.test")
    server.start()
    assert server.ready()
    for path in server.directory.rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes()
    assert b"stored_key" in scram_account(password)


def test_a_directory_name_stays_a_string_in_the_configuration(
    honeynet: Settings, tmp_path: Path
) -> None:
    odd = tmp_path / 'a"}; os.exit(3) --\\é\n'
    server = XmppServer(honeynet.model_copy(update={"state_dir": odd}))
    server.directory = odd
    config = server._config()
    escaped = str(tmp_path) + "/a\\034}; os.exit(3) --\\092é\\010"
    assert f'data_path = "{escaped}/data"\n' in config
