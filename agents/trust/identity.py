"""Who is who: Ed25519 keys, the keyring, passwords, and the check of every received message.

``state_dir/keys`` (mode 0700) holds ``keyring.json`` (public: bare JID, role, node, key),
``ca.crt`` and, for each agent of this host, ``JID.key`` and ``JID.password`` (0600). The host
whose launcher runs the XMPP server makes the keys of the whole honeynet; every other host gets a
bundle from `export_node`.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agents.settings.honeynet import Settings
from agents.trust.pki import ensure_authority
from ontology.records import Role


class IdentityError(ValueError):
    """Keys or keyring are missing or can't be used; one line says which file."""


class Refused(ValueError):
    """A message that must not be handled; ``reason`` is one of the words counted in ``status``."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Peer:
    """An agent as the keyring knows it."""

    jid: str
    role: str
    node: str
    key: Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Identity:
    """What an agent needs to act under its own name."""

    peer: Peer
    key: Ed25519PrivateKey
    password: str
    ca: Path
    keyring: Mapping[str, Peer]


def keys_directory(settings: Settings) -> Path:
    """Where this host keeps its keys."""
    return settings.state_dir / "keys"


def write_private(path: Path, data: bytes) -> None:
    """Write with mode 0600, whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    temporary.replace(path)


def ensure_keys(settings: Settings, node: str | None = None) -> None:
    """Make what is missing: directory, CA, and key and password of each agent of the honeynet.

    ``node``: the node being started; None for the whole honeynet on one host. On a host that was
    given a bundle nothing is made, only checked.

    Raises: IdentityError if this host needs a bundle, or another one.
    """
    directory = keys_directory(settings)
    for part in (settings.state_dir, directory):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_mode & 0o027:  # its group may pass (`agents.base.confinement`)
        directory.chmod(0o700)
    with _locked(directory):
        ring = directory / "keyring.json"
        authority = directory / "authority"
        if not ring.exists():
            if node not in (None, settings.server_node):
                raise IdentityError(
                    f"{ring}: not there; on node {settings.server_node!r}: `ontoidps enrol FILE "
                    f"--node {node} --out BUNDLE`, then here: `ontoidps enrol FILE --import BUNDLE`"
                )
            authority.touch(mode=0o600)
        entries = _read_ring(ring) if ring.exists() else {}
        missing = [a for a in settings.agents() if settings.jid(*a) not in entries]
        if missing and not authority.exists():
            raise IdentityError(
                f"{ring}: {settings.jid(*missing[0])} is not in it; get a new bundle"
            )
        for role, name in missing:
            entries[settings.jid(role, name)] = _create(directory, settings.jid(role, name)) | {
                "role": role,
                "node": name,
            }
        if missing or not ring.exists():
            write_private(ring, json.dumps(entries, indent=1, sort_keys=True).encode())
        if settings.xmpp.ca is None and authority.exists():
            ensure_authority(directory)


def _create(directory: Path, jid: str) -> dict[str, str]:
    key = Ed25519PrivateKey.generate()
    write_private(directory / f"{jid}.key", base64.b64encode(key.private_bytes_raw()) + b"\n")
    write_private(directory / f"{jid}.password", secrets.token_urlsafe(32).encode() + b"\n")
    return {"key": base64.b64encode(key.public_key().public_bytes_raw()).decode()}


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Two launchers of one host must not both make keys."""
    with (directory / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def export_node(settings: Settings, node: str, target: Path) -> list[Path]:
    """Write what another host needs to run ``node``, for `import_bundle` there.

    Returns the files written. Raises: IdentityError, SettingsError (no such node).
    """
    if target.exists() or target.is_symlink():
        raise IdentityError(f"{target}: is there already; a bundle gets a folder of its own")
    source = keys_directory(settings)
    agents = settings.node_named(node).agents
    ca = settings.xmpp.ca or source / "ca.crt"
    wanted = [(source / "keyring.json", "keyring.json"), (ca, "ca.crt")]
    for role in agents:
        jid = settings.jid(role, node)
        wanted += [(source / f"{jid}{end}", f"{jid}{end}") for end in (".key", ".password")]
    for path, _ in wanted:
        if not path.is_file():
            raise IdentityError(f"{path}: not there; is this the host that made the keys?")
    target.mkdir(mode=0o700, parents=True)
    for path, name in wanted:
        write_private(target / name, path.read_bytes())
    return [target / name for _, name in wanted]


def import_bundle(settings: Settings, bundle: Path) -> tuple[str, ...]:
    """Take over a bundle made by `export_node`, whole or not at all; it may be a newer one.

    Returns the nodes that can be run here now. Raises: IdentityError if it isn't a bundle, is one
    of another honeynet, or if this host has made the honeynet's keys itself.
    """
    if not (bundle / "keyring.json").is_file():
        raise IdentityError(f"{bundle}: no bundle: there is no keyring.json in it")
    ring = _read_ring(bundle / "keyring.json")
    agents = {settings.jid(*agent): agent for agent in settings.agents()}
    if missing := sorted(agents.keys() - ring.keys()):
        raise IdentityError(f"{bundle}: no bundle of this honeynet: {missing[0]} is not in it")
    own = [jid for jid in agents if (bundle / f"{jid}.key").is_file()]
    if not own:
        raise IdentityError(f"{bundle}: holds no key of an agent of this honeynet")
    names = ["ca.crt", *(f"{jid}{end}" for jid in own for end in (".key", ".password"))]
    try:
        files = {name: (bundle / name).read_bytes() for name in (*names, "keyring.json")}
    except OSError as e:
        raise IdentityError(f"{e.filename}: {e.strerror}") from e
    directory = keys_directory(settings)
    if (directory / "authority").exists():
        raise IdentityError(
            f"{directory}: this host made the honeynet's keys itself and takes none from a bundle "
            "(made by mistake? remove that folder first)"
        )
    for part in (settings.state_dir, directory):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    with _locked(directory):
        for name, data in files.items():
            write_private(directory / name, data)
    return tuple(dict.fromkeys(agents[jid][1] for jid in own))


def _read_ring(path: Path) -> dict[str, dict[str, str]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise IdentityError(f"{path}: {e.strerror}") from e
    except ValueError as e:
        raise IdentityError(f"{path}: not JSON: {e}") from e
    if not isinstance(entries, dict):
        raise IdentityError(f"{path}: not a table of agents")
    return entries


def load_keyring(settings: Settings) -> dict[str, Peer]:
    """Every agent of the honeynet. Raises: IdentityError."""
    path = keys_directory(settings) / "keyring.json"
    ring = {}
    for jid, entry in _read_ring(path).items():
        try:
            key = Ed25519PublicKey.from_public_bytes(base64.b64decode(entry["key"], validate=True))
            ring[jid] = Peer(jid, entry["role"], entry["node"], key)
        except (KeyError, TypeError, ValueError) as e:
            raise IdentityError(f"{path}: entry {jid!r} can't be used: {e}") from e
    return ring


def load_password(settings: Settings, jid: str) -> str:
    """Raises: IdentityError."""
    path = keys_directory(settings) / f"{jid}.password"
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise IdentityError(f"{path}: {e}") from e


def load_identity(settings: Settings, role: Role, node: str) -> Identity:
    """The keys of one agent of this host. Raises: IdentityError."""
    jid = settings.jid(role, node)
    directory = keys_directory(settings)
    ring = load_keyring(settings)
    path = directory / f"{jid}.key"
    try:
        key = Ed25519PrivateKey.from_private_bytes(base64.b64decode(path.read_bytes()))
    except OSError as e:
        raise IdentityError(
            f"{path}: {e.strerror}; import a bundle of node {node!r} (`ontoidps enrol --help`)"
        ) from e
    except ValueError as e:
        raise IdentityError(f"{path}: not an Ed25519 key") from e
    peer = ring.get(jid)
    if peer is None or peer.key.public_bytes_raw() != key.public_key().public_bytes_raw():
        raise IdentityError(f"{path}: the keyring holds no such key for {jid}")
    ca = settings.xmpp.ca or directory / "ca.crt"
    if not ca.is_file():
        # xmpp.ca may be on the host that made the bundle only; the bundle holds a copy.
        ca = directory / "ca.crt" if (directory / "ca.crt").is_file() else ca
    if not ca.is_file():
        raise IdentityError(f"{ca}: the CA certificate is not there")
    return Identity(peer, key, load_password(settings, jid), ca, ring)
