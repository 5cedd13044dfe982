"""The embedded XMPP server: Debian's Prosody as an unprivileged child with a throw-away
configuration.

Nothing in it is worth keeping: accounts, certificate and configuration are written anew at each
start from ``state_dir/keys``. It listens with direct TLS only, federates with nobody and
registers nobody. The agents use no feature that is Prosody's own; ``deploy/ejabberd.example.yml``
is the production server.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import pwd
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

from agents.launcher.priority import carry_to_session
from agents.settings.honeynet import Settings
from agents.trust.identity import keys_directory, load_password
from agents.trust.pki import issue_server_certificate

logger = logging.getLogger(__name__)

_STANZA_LIMIT = 256 * 1024
_ITERATIONS = 4096
"""Of PBKDF2 (RFC 7677's minimum); the passwords are 256 random bits, so more would protect
nothing."""
_USER = "prosody"
_RUN = Path("/run")

_CONFIG = """\
-- Written by agents/launcher/xmpp_server.py at every start; changes are lost.
run_as_root = {as_root}
data_path = "{base}/data"
pidfile = "{base}/prosody.pid"
certificates = "{base}/certs"
log = {{ warn = "{base}/prosody.log" }}
interfaces = {{ "{host}" }}
c2s_ports = {{}}
c2s_direct_tls_ports = {{ {port} }}
s2s_ports = {{}}
-- mod_limits stays out: its defaults hold every client at 10 KiB/s, also with limits = {{}}
modules_enabled = {{
  "disco", "roster", "saslauth", "tls", "ping", "presence", "message", "iq", "posix"
}}
modules_disabled = {{ "s2s", "offline", "register" }}
allow_registration = false
authentication = "internal_hashed"
password_hash = "SHA-256"
c2s_require_encryption = true
c2s_stanza_size_limit = {stanza_limit}
-- Nagle's algorithm with delayed acknowledgements costs up to 48 ms on each stanza
network_settings = {{ nagle = false, tcp_keepalive = 30, read_size = 65536 }}
storage = "internal"
VirtualHost "{domain}"
"""


class XmppServerError(RuntimeError):
    """The embedded server can't be started; one line says why and what helps."""


class XmppServer:
    """One Prosody child. `start`, wait for `ready`, `stop`; `alive` tells whether it still runs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._child: subprocess.Popen[bytes] | None = None
        self._account = _service_account()
        self.directory = self._choose_directory()

    @property
    def pid(self) -> int | None:
        """Process id of the child while there is one."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Write the throw-away configuration and start the child; doesn't wait for it.

        Raises: XmppServerError (Prosody missing, port taken), IdentityError (keys missing),
        OSError.
        """
        if self.alive():
            return
        prosody = shutil.which("prosody", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin")
        if prosody is None:
            raise XmppServerError(
                "prosody is not installed: `apt-get install prosody`, or set xmpp.embedded = false "
                "and run an XMPP server of your own"
            )
        host, port = self._settings.xmpp.host, self._settings.xmpp.port
        self._end_orphan()
        _check_port(host, port)
        self._write_files()
        # --version must never be asked for: Prosody 0.12 answers it by starting its stock server.
        command = [prosody, "--config", str(self.directory / "prosody.cfg.lua"), "-F"]
        setpriv = shutil.which("setpriv", path="/usr/bin:/bin")
        if setpriv is not None:
            # Ends with us, also when we are killed. "Us" is the thread that starts it (prctl(2)):
            # the main one, or one of asyncio's workers, which last as long as the loop.
            command = [setpriv, "--pdeathsig", "KILL", "--", *command]
        with (self.directory / "prosody.out").open("wb") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={"PATH": "/usr/bin:/bin", "HOME": str(self.directory), "LC_ALL": "C.UTF-8"},
                start_new_session=True,
                user=None if self._account is None else self._account.pw_uid,
                group=None if self._account is None else self._account.pw_gid,
                extra_groups=None if self._account is None else [],
            )
        carry_to_session(self._child.pid)
        logger.info("XMPP server started on %s port %d, pid %d", host, port, self._child.pid)

    def ready(self, timeout_s: float = 10.0) -> bool:
        """Wait until a TLS handshake that verifies the certificate succeeds.

        Returns False after ``timeout_s``. Raises: XmppServerError if the child ended meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        context = ssl.create_default_context(cafile=str(keys_directory(self._settings) / "ca.crt"))
        address = (self._settings.xmpp.host, self._settings.xmpp.port)
        while time.monotonic() < deadline:
            if not self.alive():
                raise XmppServerError(f"the XMPP server ended while starting: {self._last_words()}")
            try:
                with (
                    socket.create_connection(address, timeout=1.0) as plain,
                    context.wrap_socket(plain, server_hostname=self._settings.domain),
                ):
                    return True
            except OSError:
                time.sleep(0.02)
        return False

    def alive(self) -> bool:
        """True while the child runs."""
        return self._child is not None and self._child.poll() is None

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the child, with SIGKILL if it doesn't go, and remove its directory."""
        if self._child is not None:
            if self.alive():
                self._child.send_signal(signal.SIGTERM)
            try:
                self._child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
            self._child = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def _choose_directory(self) -> Path:
        if self._account is None:
            return self._settings.state_dir.absolute() / "xmpp"
        # The child isn't root and can't pass state_dir (0700). Only root writes in /run, so that
        # nobody can put a link in the way of this predictable name.
        name = hashlib.sha256(str(self._settings.state_dir.absolute()).encode()).hexdigest()[:12]
        return _RUN / f"ontoidps-{name}"

    def _end_orphan(self) -> None:
        """A launcher killed with SIGKILL leaves its server behind, on our port."""
        try:
            pid = int((self.directory / "prosody.pid").read_text(encoding="ascii"))
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return
        if str(self.directory / "prosody.cfg.lua").encode() not in command:
            return  # the number belongs to another process by now
        logger.warning("ending the XMPP server that an earlier launcher left behind, pid %d", pid)
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 5.0
        while _runs(pid) and time.monotonic() < deadline:
            time.sleep(0.01)

    def _write_files(self) -> None:
        base = self.directory
        shutil.rmtree(base, ignore_errors=True)
        accounts = base / "data" / _encoded(self._settings.domain) / "accounts"
        for part in (base, base / "certs", accounts):
            part.mkdir(mode=0o700, parents=True)
        domain = self._settings.domain
        certificate, key = issue_server_certificate(keys_directory(self._settings), domain)
        files = {
            base / "certs" / f"{domain}.crt": certificate,
            base / "certs" / f"{domain}.key": key,
            base / "prosody.cfg.lua": self._config().encode(),
        }
        for role, node in self._settings.agents():
            jid = self._settings.jid(role, node)
            name = _encoded(jid.partition("@")[0])
            files[accounts / f"{name}.dat"] = scram_account(load_password(self._settings, jid))
        for path, data in files.items():
            path.touch(mode=0o600)
            path.write_bytes(data)
        if self._account is not None:
            for path in (base, *base.rglob("*")):
                os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _config(self) -> str:
        return _CONFIG.format(
            as_root="true" if os.geteuid() == 0 and self._account is None else "false",
            base=_lua(str(self.directory)),
            host=_lua(self._settings.xmpp.host),
            port=self._settings.xmpp.port,
            domain=self._settings.domain,
            stanza_limit=_STANZA_LIMIT,
        )

    def _last_words(self) -> str:
        lines: list[str] = []
        for name in ("prosody.out", "prosody.log"):
            path = self.directory / name
            if path.exists():
                lines += path.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line for line in lines if "error" in line.lower()] or lines
        return errors[-1].strip() if errors else "it said nothing"


def _runs(pid: int) -> bool:
    """Whether the process is there and not a zombie (proc(5), stat: the state follows the name)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


def scram_account(password: str) -> bytes:
    """An account file of Prosody's internal storage, SCRAM-SHA-256 (RFC 7677), no clear
    password."""
    salt = secrets.token_hex(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    stored = hashlib.sha256(client_key).hexdigest()
    server = hmac.digest(salted, b"Server Key", "sha256").hex()
    return (
        "return {\n"
        f'\t["iteration_count"] = {_ITERATIONS};\n'
        f'\t["salt"] = "{salt}";\n'
        f'\t["stored_key"] = "{stored}";\n'
        f'\t["server_key"] = "{server}";\n'
        "};\n"
    ).encode()


def _lua(text: str) -> str:
    """The inside of a Lua string literal in double quotes (Lua 5.4 manual, 3.1)."""
    return "".join(f"\\{ord(c):03d}" if c in '\\"' or ord(c) < 32 else c for c in text)


def _encoded(name: str) -> str:
    """Prosody's file name for a host or user: all but letters and digits as ``%xx``."""
    return "".join(c if c.isascii() and c.isalnum() else f"%{ord(c):02x}" for c in name)


def _service_account() -> pwd.struct_passwd | None:
    """Whose rights to take on: Debian's ``prosody`` when we are root, nobody's otherwise.

    In a user namespace where only one id is mapped there is no other user to become: None.

    Raises: XmppServerError if we are root and the account is missing.
    """
    if os.geteuid() != 0:
        return None
    try:
        account = pwd.getpwnam(_USER)
    except KeyError as e:
        if not _mapped(1):
            return None
        raise XmppServerError(f"no system user {_USER!r}: `apt-get install prosody`") from e
    return account if _mapped(account.pw_uid) else None


def _mapped(uid: int) -> bool:
    """Whether ``uid`` exists in our user namespace (user_namespaces(7), uid_map)."""
    for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines():
        first, _, count = (int(part) for part in line.split())
        if first <= uid < first + count:
            return True
    return False


def _check_port(host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as e:
        raise XmppServerError(
            f"the XMPP server can't listen on {host} port {port}: {e.strerror or e}; "
            "set xmpp.host and xmpp.port"
        ) from e
