"""Single fields of the Linux audit log.

The kernel quotes what a user could choose (paths, arguments), or writes it as hexadecimal digits if
it holds a quote, a space or what can't be printed: a value never holds a space, so words can be
split at spaces. Sources: the kernel's ``audit_log_untrustedstring``, ``include/uapi/linux/audit.h``
and the syscall tables of each architecture; auditd.conf(5) on ``log_format = ENRICHED``.
"""

from __future__ import annotations

from typing import Final

from agents.sensor.inputs.events import Host, host

SEPARATOR: Final = b"\x1d"
"""Before what auditd adds with ``log_format = ENRICHED``."""
UNSET: Final = frozenset({b"4294967295", b"-1", b"unset", b"", b"?"})
"""A user or session that never logged in."""
NUMBERS: Final[dict[bytes, bytes]] = {
    b"1100": b"USER_AUTH",
    b"1105": b"USER_START",
    b"1106": b"USER_END",
    b"1112": b"USER_LOGIN",
    b"1113": b"USER_LOGOUT",
    b"1006": b"LOGIN",
    b"1127": b"SYSTEM_BOOT",
    b"1300": b"SYSCALL",
    b"1302": b"PATH",
    b"1306": b"SOCKADDR",
    b"1307": b"CWD",
    b"1309": b"EXECVE",
    b"1320": b"EOE",
    b"1327": b"PROCTITLE",
}
"""Types as the kernel's own log has them, and where auditd is older than the kernel."""
CONNECTING: Final = frozenset(
    {
        *((b"c000003e", n) for n in (b"42", b"44", b"46", b"307")),  # x86_64
        *((b"c00000b7", n) for n in (b"203", b"206", b"211", b"269")),  # aarch64
        *((b"c00000f3", n) for n in (b"203", b"206", b"211", b"269")),  # riscv64
        *((b"40000003", n) for n in (b"362", b"369", b"370", b"345")),  # i386
        *((b"40000028", n) for n in (b"283", b"290", b"296", b"374")),  # arm
    }
)
"""(architecture, number) of connect, sendto, sendmsg, sendmmsg."""
CONNECTING_NAMES: Final = frozenset({b"connect", b"sendto", b"sendmsg", b"sendmmsg"})
_IN_PROGRESS: Final = frozenset({b"-115", b"EINPROGRESS"})
"""How a connect() that does not wait ends."""
_LONGEST_VALUE: Final = 4096
_HEX: Final = frozenset(b"0123456789ABCDEFabcdef")


def words(body: bytes) -> dict[bytes, bytes]:
    """``key=value`` words; of several with one key the first counts."""
    out: dict[bytes, bytes] = {}
    for word in body.split(b" "):
        key, equals, value = word.partition(b"=")
        if equals and key not in out:
            out[key] = value
    return out


def untrusted(value: bytes) -> str:
    """What a user chose: quoted, in hexadecimal digits, or absent; arguments between NULs."""
    if value[:1] == b'"':
        raw = value[1 : _LONGEST_VALUE + 1].split(b'"', 1)[0]
    elif value in (b"(null)", b"(none)", b"?", b""):
        return ""
    else:
        value = value[:_LONGEST_VALUE]
        if len(value) % 2 or not _HEX.issuperset(value):
            raw = value
        else:
            raw = bytes.fromhex(value.decode("ascii")).rstrip(b"\0").replace(b"\0", b" ")
    return raw.decode("utf-8", "replace")


def identity(fields: dict[bytes, bytes], names: dict[bytes, bytes], key: bytes) -> str:
    """A user: by name if auditd wrote one, else by number; empty if it was never set."""
    number = fields.get(key, b"")
    if number in UNSET:
        return ""
    name = names.get(key.upper(), b"").strip(b'"')
    chosen = number if name in (b"", b"unknown", b"unset") else name
    return chosen[:256].decode("utf-8", "replace")


def process_number(value: bytes | None) -> int | None:
    """A PID; None if it is none."""
    if value is None or not value.isdigit() or len(value) > 10:
        return None
    number = int(value)
    return number if number < 1 << 32 else None


def connected(fields: dict[bytes, bytes]) -> bool:
    """Whether a connection was begun: one that nobody waits for has an error of its own."""
    return fields.get(b"success") == b"yes" or fields.get(b"exit") in _IN_PROGRESS


def socket_address(value: bytes) -> tuple[Host, int] | None:
    """Address and port of ``saddr``; None for other families, and what is none.

    ``struct sockaddr_in`` and ``sockaddr_in6``: the family in the host's byte order, port and
    address in the network's.
    """
    if not 16 <= len(value) <= 512 or not _HEX.issuperset(value) or len(value) % 2:
        return None
    raw = bytes.fromhex(value.decode("ascii"))
    family = raw[0] or raw[1]
    if raw[0] and raw[1]:
        return None
    port = int.from_bytes(raw[2:4], "big")
    if family == 2:
        return host(".".join(map(str, raw[4:8]))), port
    if family == 10 and len(raw) >= 24:
        return host(":".join(raw[i : i + 2].hex() for i in range(8, 24, 2))), port
    return None


def arguments(records: list[bytes]) -> str:
    """The command line of EXECVE records; a long argument comes in pieces (``a1[0]=``)."""
    parts: dict[int, list[str]] = {}
    length = 0
    for body in records:
        for word in body.split(SEPARATOR, 1)[0].split(b" "):
            key, equals, value = word.partition(b"=")
            if not equals or key[:1] != b"a" or length > _LONGEST_VALUE:
                continue
            number, _, _ = key[1:].partition(b"[")
            if not number.isdigit() or len(number) > 6:
                continue  # argc, a1_len
            text = untrusted(value)
            length += len(text) + 1
            parts.setdefault(int(number), []).append(text)
    return " ".join("".join(parts[number]) for number in sorted(parts))
