"""SMB and remote desktop beyond guessed passwords: probes of known holes, programs put on a host.

Who offers SMB 1 alone looks for hosts that still speak it, as worms and scanners do, or is as old
himself.

MS17-010 is looked for by asking a pipe without a handle (``PeekNamedPipe`` of 0), and used, by
EternalBlue as by the back door that it leaves, with ``TRANS2_SESSION_SETUP``, which no client sends
([MS-CIFS] 2.2.6.15: reserved, not implemented). BlueKeep (CVE-2019-0708) needs the channel MS_T120,
which clients never ask for, as the server opens it itself. The rest is what PsExec does and its
kind: a program written to an administrator's share, a service made of it ([MS-SCMR] 3.1.4.12).
"""

from __future__ import annotations

from dataclasses import dataclass

from cachetools import LRUCache

from ontology.records import INDICATORS

HOLE, PROGRAM, SERVICE, CHANNEL, OLD_ONLY = (
    1 << INDICATORS.index(name)
    for name in (
        *("SmbHoleTried", "ProgramOnAdminShare", "ServiceCreated", "RdpHoleTried"),
        "OldSmbAsked",
    )
)
SMB, RDP = 445, 3389
PORTS = (SMB, RDP)
OLD_COMMANDS = (0x25, 0x2F, 0x32, 0x72, 0x73, 0x75, 0xA2)
"""TRANSACTION, WRITE_ANDX, TRANSACTION2, NEGOTIATE, SESSION_SETUP, TREE_CONNECT, NT_CREATE."""
NEW_COMMANDS = (3, 5, 9, 11)
"""TREE_CONNECT, CREATE, WRITE, IOCTL."""
MAX_CONNECTIONS = 4096
MAX_COMPOUND = 4
"""Messages read of a compound."""
_PEEK, _SESSION_SETUP = b"\x23\0\0\0", b"\x0e\0"
_ADMIN = tuple(f"\\{name}$\0".encode("utf-16-le") for name in ("ADMIN", "admin", "C", "c"))
_ADMIN_OLD = (b"\\ADMIN$\0", b"\\admin$\0", b"\\C$\0", b"\\c$\0")
_PIPE = ("svcctl".encode("utf-16-le"), "SVCCTL".encode("utf-16-le"), b"\\svcctl\0")
_CREATE_SERVICE = (12, 24, 44, 45, 60)
"""CreateServiceW, A, WOW64W, WOW64A, and with a password by handle."""


@dataclass(slots=True)
class _Connection:
    admin: bool = False
    """An administrator's share has been asked for."""
    manager: bool = False
    """The pipe of the service manager has been."""


class WindowsServices:
    """Reads requests that begin a segment. Not thread-safe."""

    def __init__(self) -> None:
        self._open: LRUCache[bytes, _Connection] = LRUCache(MAX_CONNECTIONS)

    def smb(self, payload: bytes, ends: bytes) -> int:
        """Indicators of a segment to an SMB server; ``ends``: of whose connection."""
        connection = self._open.get(ends) or _Connection()
        if payload[4:8] == b"\xffSMB":
            found = self._old(payload[4:], connection)
        else:
            found, rest = 0, payload[4:]
            for _ in range(MAX_COMPOUND):
                found |= self._new(rest, connection)
                following = int.from_bytes(rest[20:24], "little")
                if not 64 <= following < len(rest):
                    break
                rest = rest[following:]
        if connection.admin or connection.manager:
            self._open[ends] = connection
        return found

    @staticmethod
    def _old(message: bytes, connection: _Connection) -> int:
        """SMB 1: the header has 32 bytes, then come words, counted."""
        command = message[4:5]
        if command == b"\x72":
            # Clients of this decade offer SMB 2 beside it ([MS-SMB2] 3.3.5.3), or nothing old.
            return OLD_ONLY * (b"\2NT LM 0.12\0" in message and b"\2SMB 2." not in message)
        if command in b"\x73\x75":
            connection.admin |= any(name in message for name in _ADMIN + _ADMIN_OLD)
        elif command == b"\xa2":
            connection.manager |= any(name in message for name in _PIPE)
        elif command == b"\x32":
            return HOLE * (message[61:63] == _SESSION_SETUP)
        elif command == b"\x25":
            if message[61:65] == _PEEK:
                return HOLE
            return _service(message, int.from_bytes(message[57:59], "little"), connection)
        elif command == b"\x2f":
            return _written(message, int.from_bytes(message[55:57], "little"), connection)
        return 0

    @staticmethod
    def _new(message: bytes, connection: _Connection) -> int:
        """SMB 2 and 3, if not encrypted: the header has 64 bytes."""
        if message[:4] != b"\xfeSMB":
            return 0
        command = int.from_bytes(message[12:14], "little")
        if command == 3:
            name = message[72:] + b"\0\0"  # a path that ends with the message
            connection.admin |= any(share in name for share in _ADMIN)
        elif command == 5:
            connection.manager |= any(name in message for name in _PIPE)
        elif command == 9:
            return _written(message, int.from_bytes(message[66:68], "little"), connection)
        elif command == 11:
            return _service(message, int.from_bytes(message[88:92], "little"), connection)
        return 0

    @staticmethod
    def rdp(payload: bytes) -> int:
        """Indicators of the request that opens a remote desktop (T.125, connect-initial)."""
        return CHANNEL * (b"MS_T120\0" in payload.replace(b"ms_t120\0", b"MS_T120\0"))


def _written(message: bytes, at: int, connection: _Connection) -> int:
    """What is written: a program on an administrator's share, or a call by way of a pipe."""
    if connection.admin and message[at : at + 2] == b"MZ":
        return PROGRAM
    return _service(message, at, connection)


def _service(message: bytes, at: int, connection: _Connection) -> int:
    """Whether a remote call (DCE/RPC 5.0, a request) makes a service."""
    call = message[at : at + 24]
    if not connection.manager or len(call) < 24 or call[:3] != b"\5\0\0":
        return 0
    return SERVICE * (int.from_bytes(call[22:24], "little") in _CREATE_SERVICE)
