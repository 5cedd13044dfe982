"""One source that floods, and ordinary ones beside it: who is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agents.sensor.core import SensorCore
from agents.sensor.payloads.reading_shares import ReadingShares
from hostile.families import fill
from hostile.wire import Way, client, frame, handshakes, raw

_SERVER = bytes((198, 51, 100, 18))
_WAY = Way(21)


@dataclass(frozen=True, slots=True)
class Flood:
    """Payloads sent, and what became of them."""

    ordinary: int
    ordinary_read: int
    """Of the ordinary sources: logins that the records hold."""
    flooder: int
    thinned: int


def measure_flood(
    *, sources: int = 20, rate: int = 60_000, seconds: float = 2.0, block: int = 3_000
) -> Flood:
    """Logins of ordinary sources, one in 50 ms of each, among ``rate`` payloads a second of one.

    The flooder is given a handshake: what nobody answers is not read at all.
    """
    core = SensorCore("bench", shares=ReadingShares())
    begin_us = 1_700_000_000_000_000
    core.on_packets(raw(handshakes(_WAY, 0, sources + 1), begin_us - 50_000))
    dear = fill(b"", b"CWD /etc\r\n", b"\n")
    step_us = 1_000_000 // rate
    following = [1] * (sources + 1)
    frames: list[bytes] = []
    ordinary = flooder = 0
    due = {source: source * 50_000 // (sources + 1) for source in range(1, sources + 1)}
    at_us = begin_us
    for packet in range(int(rate * seconds)):
        source = next((s for s, us in due.items() if packet * step_us >= us), 0)
        payload = b"PASS %06d\r\n" % packet if source else dear
        if source:
            due[source] += 50_000
            ordinary += 1
        else:
            flooder += 1
        ends = (client(source), 40_000), (_SERVER, _WAY.port)
        frames.append(frame(*ends, payload, seq=following[source]))
        following[source] = (following[source] + len(payload)) % (1 << 32)
        if len(frames) == block:
            core.on_packets(raw(frames, at_us, step_us))
            at_us += block * step_us
            frames.clear()
    if frames:
        core.on_packets(raw(frames, at_us, step_us))
    rows = np.concatenate(
        [batch.connections for batch in core.take_batches(core.last_us, final=True)]
    )
    of_flooder = (rows["src"][:, 12:] == np.frombuffer(client(0), np.uint8)).all(axis=1)
    read = int(rows["login_attempts"][~of_flooder].sum())
    return Flood(ordinary, read, flooder, core.counters["thinned"])
