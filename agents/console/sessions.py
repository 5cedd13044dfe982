"""Who may use the console: users on disk (scrypt), sessions in memory, the command line's token.

Times are arguments, on a clock that only runs: who sets the host's clock ends no session.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

UserRole = Literal["viewer", "operator"]

# RFC 7914 section 2 names N = 2^14, r = 8, p = 1 for interactive logins: 16 MiB, some 50 ms here.
_N, _R, _P = 2**14, 8, 1
IDLE_US = 30 * 60 * 1_000_000
"""A session ends after this long without a request by its user."""
ABSOLUTE_US = 8 * 3600 * 1_000_000
"""A session ends this long after its login."""
MAX_SESSIONS = 200
MAX_PASSWORD = 256
"""Characters; more is refused unhashed."""
FIRST_USER = "operator"


class UsersError(RuntimeError):
    """The users file can't be used; one line."""


class _User(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    role: UserRole
    salt: str
    hash: str


class _Users(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    users: dict[str, _User] = Field(max_length=1000)


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P, dklen=32)


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write a file that only we may read, or our group, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


class Users:
    """The users file ``users.json``; a change of the file is in force with the next request."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = (0, 0)
        self._users: dict[str, _User] = {}
        self._no_one = _User(role="viewer", salt=secrets.token_hex(16), hash=secrets.token_hex(32))

    def set(self, name: str, password: str, role: UserRole) -> None:
        """Add a user, or give an old one a new password and role. May block (scrypt)."""
        self._refresh()
        salt = secrets.token_bytes(16)
        user = _User(role=role, salt=salt.hex(), hash=_scrypt(password, salt).hex())
        users = _Users(users={**self._users, name: user})
        # The folder is ours; its group is the console's where that is a user of its own.
        write_private(self._path, users.model_dump_json(indent=1) + "\n", 0o640)

    def role(self, name: str) -> UserRole | None:
        """The role that a user has now; None for no such user. Raises: UsersError"""
        self._refresh()
        user = self._users.get(name)
        return user.role if user else None

    def check(self, name: str, password: str) -> UserRole | None:
        """The role, if the password is right. Takes as long for a name that doesn't exist.

        Blocks for some 50 ms: call it in a thread. Raises: UsersError
        """
        self._refresh()
        if len(password) > MAX_PASSWORD:
            return None
        user = self._users.get(name, self._no_one)
        digest = _scrypt(password, bytes.fromhex(user.salt))
        right = hmac.compare_digest(digest, bytes.fromhex(user.hash))
        return user.role if right and user is not self._no_one else None

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp:
                return
            text = self._path.read_text(encoding="utf-8")
            self._users = _Users.model_validate_json(text).users
            self._stamp = stamp
        except FileNotFoundError:
            self._users, self._stamp = {}, (0, 0)
        except (OSError, UnicodeDecodeError, ValidationError, json.JSONDecodeError) as e:
            raise UsersError(f"{self._path}: not a users file: {type(e).__name__}") from e


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the console's secrets lie."""

    users: Users
    token: str
    password_file: Path
    first_start: bool
    """True if the password was made just now: tell the operator of the file, once."""
    manager_keys: Mapping[str, bytes] = field(default_factory=dict)
    """SHA-256 of the keys of managers of others, by name."""


def open_credentials(state_dir: Path) -> Credentials:
    """Load the users and the CLI's token; make user ``operator`` and both secrets at first start.

    Files: ``console/users.json``, ``console-password`` and ``console-token``, all mode 0600.
    """
    users = Users(state_dir / "console" / "users.json")
    password_file, token_file = state_dir / "console-password", state_dir / "console-token"
    first = not (state_dir / "console" / "users.json").exists()
    if first:
        password = secrets.token_urlsafe(12)
        users.set(FIRST_USER, password, "operator")
        write_private(password_file, password + "\n")
    if not token_file.exists():
        write_private(token_file, secrets.token_urlsafe(32) + "\n")
    token = token_file.read_text(encoding="utf-8").strip()
    if len(token) < 32:
        raise UsersError(f"{token_file}: too short to be a token; delete it to have one made")
    return Credentials(users, token, password_file, first)


@dataclass(slots=True)
class Session:
    """One login."""

    id: str
    user: str
    role: UserRole
    csrf: str
    created_us: int
    seen_us: int


class Sessions:
    """Logins by opaque cookie; only a hash of the cookie is kept."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def create(self, user: str, role: UserRole, now_us: int) -> tuple[str, Session]:
        """(cookie, session); the oldest session makes room when there are too many."""
        cookie = secrets.token_urlsafe(32)
        key = _key(cookie)
        session = Session(key, user, role, secrets.token_urlsafe(24), now_us, now_us)
        self._sessions[key] = session
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return cookie, session

    def get(self, cookie: str, now_us: int, *, touch: bool) -> Session | None:
        """The live session of a cookie; ``touch`` renews its idle time."""
        session = self._sessions.get(_key(cookie))
        if session is None or not self.alive(session.id, now_us):
            return None
        if touch:
            session.seen_us = now_us
        return session

    def alive(self, session_id: str, now_us: int) -> bool:
        """Whether a session still stands; an over-aged one is dropped here."""
        session = self._sessions.get(session_id)
        if session is None:
            return False
        if now_us - session.seen_us >= IDLE_US or now_us - session.created_us >= ABSOLUTE_US:
            del self._sessions[session_id]
            return False
        return True

    def drop(self, session_id: str) -> None:
        """End a session (logout, role taken away)."""
        self._sessions.pop(session_id, None)


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode(errors="replace")).hexdigest()
