"""Scapy's socket in a process of its own, where `Capture` has no ring.

Some 5,000 packets a second, but it knows every kind of interface that scapy knows. Scapy is
GPL-2.0-only and no agent imports it (see `agents.sensor.capture.dissection`): the process writes a
pcap stream, and on stderr lines of what was lost and why it ends. It ends with its standard input.
"""

from __future__ import annotations

import contextlib
import os
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any

import numpy as np

from agents.clock import now_us
from agents.sensor.capture.dissection import compile_filter
from datasets.captures.pcap import (
    MAX_PACKET,
    CaptureError,
    CaptureStats,
    RawPackets,
    nothing,
    read_source,
)

_SOL_PACKET, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 6, 23
_START_S = 20.0
_BLOCK_BYTES = 1 << 20
_FLUSH_S = 0.05
_HEAD = struct.Struct("<IHHiIII")
_RECORD = struct.Struct("<IIII")
_MAX_SAID = 4096
_LEFT = 1 << 30
"""Set in a record's length on the wire if this host sent the frame: its pcap has no other place."""
_OUTGOING = 4  # PACKET_OUTGOING


class _Pipe:
    """The process's output as a source that grows."""

    growing = True

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.ended = False
        os.set_blocking(descriptor, False)

    def read(self, size: int) -> bytes:
        try:
            data = os.read(self._descriptor, size)
        except BlockingIOError:
            return b""
        self.ended = not data
        return data

    def readinto(self, target: memoryview) -> int:
        data = self.read(len(target))
        target[: len(data)] = data
        return len(data)


class ScapyProcess:
    """The process, by our ends of its pipes; it ends when they are closed."""

    def __init__(self, stdin: int, stdout: int, stderr: int) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self._child: subprocess.Popen[bytes] | None = None
        """Only where it is our own child."""

    @classmethod
    def start(cls, interface: str, filter_expression: str) -> ScapyProcess:
        """Raises: OSError."""
        child = subprocess.Popen(
            # -P: the working directory must not be able to stand in for scapy.
            [sys.executable, "-P", "-m", __name__, interface, filter_expression],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        pipes = (child.stdin, child.stdout, child.stderr)
        made = cls(*(os.dup(pipe.fileno()) for pipe in pipes if pipe is not None))
        for pipe in pipes:
            if pipe is not None:
                pipe.close()
        made._child = child
        return made

    def hand_over(self) -> None:
        """Somebody else gets the pipes: it must not end with us."""
        if self._child is not None:
            self._child.returncode = 0
            self._child = None

    def close(self) -> None:
        """May be called twice."""
        for name in ("stdin", "stdout", "stderr"):
            if (descriptor := getattr(self, name)) >= 0:
                os.close(descriptor)
                setattr(self, name, -1)
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None


class ScapyCapture:
    """Packets of one interface, as of `agents.sensor.capture.capture.Capture`.

    Raises:
        CaptureError: scapy can't capture there, or the filter does not compile.
    """

    def __init__(
        self,
        interface: str,
        filter_expression: str = "",
        start: Callable[[str], ScapyProcess] | None = None,
    ) -> None:
        """``start``: who has the right to start the process for an interface; by default we."""
        self.interface = interface
        self._dropped = 0
        self._said = b""
        self._last = b"it has ended"
        if filter_expression:
            compile_filter(filter_expression)  # what is wrong with it, in one line
        if start is None:
            self._process = ScapyProcess.start(interface, filter_expression)
        else:
            self._process = start(interface)
        self._out, self._err = self._process.stdout, self._process.stderr
        os.set_blocking(self._err, False)
        self._pipe = _Pipe(self._out)
        try:
            if not select.select([self._out], [], [], _START_S)[0]:
                raise CaptureError(f"scapy's socket on {interface!r}: no answer")
            # The header is written at once, so it comes as a whole or not at all.
            self._blocks = read_source(
                self._pipe, f"scapy's socket on {interface!r}", _BLOCK_BYTES, CaptureStats()
            )
            self._first: RawPackets | None = self._next()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ScapyCapture:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; may be called twice."""
        self._process.close()

    def read(self, timeout_s: float) -> RawPackets:
        """What has arrived, after waiting at most ``timeout_s`` for the first; may be empty.

        Raises:
            CaptureError: the process has ended, also because the interface is gone.
        """
        first, self._first = self._first, None
        if first is not None and len(first):
            return first
        if not select.select([self._out], [], [], timeout_s)[0]:
            return nothing(0)
        raw = self._next()
        if not len(raw) and self._pipe.ended:
            raise CaptureError(self._end())
        return raw

    def dropped(self) -> int:
        """Packets lost since the capture was opened, because the socket's buffer was full."""
        self._listen()
        return self._dropped

    def _next(self) -> RawPackets:
        try:
            raw = next(self._blocks)
        except CaptureError as e:
            raise CaptureError(self._end()) from e
        left = (raw.wire_lengths & _LEFT) > 0
        return replace(
            raw,
            wire_lengths=raw.wire_lengths & ~_LEFT,
            came=np.where(left, -1, 1).astype(np.int8),
            interfaces=(self.interface,),
        )

    def _listen(self) -> bool:
        """False once the process has closed its end."""
        heard = b"?"
        with contextlib.suppress(BlockingIOError):
            heard = os.read(self._err, _MAX_SAID)
            self._said += heard
        *lines, self._said = self._said[-_MAX_SAID:].split(b"\n")
        for line in lines:
            word, _, rest = line.partition(b" ")
            if word == b"dropped" and rest.isdigit():
                self._dropped = int(rest)
            elif line:
                self._last = line
        return bool(heard)

    def _end(self) -> str:
        deadline = time.monotonic() + _START_S
        while self._listen() and (left := deadline - time.monotonic()) > 0:
            select.select([self._err], [], [], left)
        reason = self._last.decode("ascii", "replace")
        return f"scapy's socket on {self.interface!r}: {reason}"


def _serve(interface: str, filter_expression: str) -> None:
    """The process's side: packets to stdout until stdin ends."""
    import scapy.all  # noqa: F401  registers the layers
    from scapy.config import conf

    sock: Any = conf.L2listen(iface=interface, filter=filter_expression or None)
    if interface == "lo":
        sock.ins.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    link_type = conf.l2types.layer2num.get(sock.LL, 1)
    out = sys.stdout.buffer
    out.write(_HEAD.pack(0xA1B2C3D4, 2, 4, 0, 0, MAX_PACKET, link_type))
    out.flush()
    dropped = 0
    while True:
        ready = select.select([sock.ins, sys.stdin], [], [], _FLUSH_S)[0]
        if sys.stdin in ready:
            return
        if not ready:
            out.flush()
            lost = sock.ins.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
            dropped += struct.unpack("II", lost)[1]
            if dropped:
                sys.stderr.write(f"dropped {dropped}\n")
                sys.stderr.flush()
            continue
        # As `recv_raw`, which keeps to itself which way the frame came.
        frame, address, when = sock._recv_raw(sock.ins, MAX_PACKET)
        if frame:
            time_us = now_us() if when is None else int(when * 1_000_000)
            seconds, micros = divmod(time_us, 1_000_000)
            wire = len(frame) | (_LEFT if address[2] == _OUTGOING else 0)
            out.write(_RECORD.pack(seconds, micros, len(frame), wire) + frame)


def _main() -> int:
    try:
        _serve(sys.argv[1], sys.argv[2])
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody listens; exit would flush again
    except Exception as e:  # scapy raises anything: all of it is a reason
        text = "".join(c if c.isascii() and c.isprintable() else " " for c in f"{e}")
        sys.stderr.write(f"{text[:200] or type(e).__name__}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
