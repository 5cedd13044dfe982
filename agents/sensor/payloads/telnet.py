"""Telnet as a terminal shows it: without the protocol's commands, erasures and colours.

Everything here takes a bounded number of steps, and says where it stopped before the end.
"""

from __future__ import annotations

MAX_EDITS = 24
"""Commands of Telnet's own, and characters erased, that are undone in one payload."""
_MAX_COLOURS = 16
"""Escape sequences taken out of a prompt."""


def erased(text: bytes) -> tuple[bytes, bool]:
    """(the lines as edited: an erasure takes a character of its line away, was that all?)"""
    first, *others = text.replace(b"\x7f", b"\x08").split(b"\x08", MAX_EDITS)
    out = bytearray(first)
    for part in others:
        if out and out[-1] != 10:
            del out[-1]
        out += part
    return bytes(out), not others or b"\x08" not in others[-1]


def without_commands(payload: bytes) -> tuple[bytes, bool]:
    """(the payload without Telnet's own commands, RFC 854, and without NUL; was that all?)"""
    whole = True
    at = payload.find(b"\xff")
    if at >= 0:
        parts, begin = [], 0
        for _ in range(MAX_EDITS):
            parts.append(payload[begin:at])
            command = payload[at + 1 : at + 2]
            begin = at + 2
            if command == b"\xfa":
                # A subnegotiation, up to the command that ends it.
                stop = payload.find(b"\xff", begin, begin + 201)
                begin = stop if stop >= 0 else min(begin + 200, len(payload))
                begin += 2 * (payload[begin : begin + 2] == b"\xff\xf0")
            elif b"\xfb" <= command <= b"\xfe":
                begin += 1
            at = payload.find(b"\xff", begin)
            if at < 0:
                break
        else:
            whole = False
        payload = b"".join((*parts, payload[begin:]))
    return payload.replace(b"\0", b""), whole


def without_colours(line: bytes) -> bytes:
    """The line without the escape sequences of a terminal (ECMA-48), the first few of them."""
    if b"\x1b" not in line:
        return line
    first, *others = line.split(b"\x1b", _MAX_COLOURS)
    parts = [first]
    for part in others:
        if part[:1] == b"[":
            rest = part[1:].lstrip(b"0123456789;?")
            parts.append(rest[1:] if rest[:1].isalpha() else part)
        elif part[:1] == b"]":
            parts.append(part.partition(b"\x07")[2] or part)
        else:
            parts.append(part)
    return b"".join(parts)


def _last(line: bytes) -> bytes:
    """The end of the line behind a carriage return, without one blank."""
    line = line[line.rfind(b"\r") + 1 :]
    return line[:-1] if line[-1:] == b" " else line


def asks(line: bytes) -> str:
    """Whether a line asks for a "name" or a "password"."""
    line = _last(line).lower()
    if line[-1:] != b":":
        return ""
    if line.endswith((b"login:", b"username:", b"user name:")):
        return "name"
    return "password" if b"password" in line[-41:] else ""


def prompt(line: bytes) -> bytes:
    """The sign that a line ends with, if that makes it a shell's prompt."""
    line = _last(line)
    return line[-1:] if line[-1:] in (b"#", b"$", b"%", b">") and len(line) <= 129 else b""
