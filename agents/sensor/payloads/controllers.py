"""Industrial controllers: what Modbus and S7 requests ask or tell, by their first bytes.

Compared for a whole block at once, and only the first request of a segment: controllers are asked
one thing at a time. Reading values is what their masters do all day, and says nothing here.

Modbus Application Protocol 1.1b3; S7comm as Wireshark's dissector and nmap's ``s7-info`` have it
(TPKT, COTP data, then protocol 0x32; the newer 0x72 is not read).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ontology.records import INDICATORS

ASKED, WRITTEN, HALTED = (
    1 << INDICATORS.index(name)
    for name in ("ControllerAsked", "ControllerWritten", "ControllerHalted")
)
MODBUS, S7 = 502, 102
PORTS = (MODBUS, S7)
HEAD = 32
"""Bytes looked at."""

_MODBUS = np.zeros(256, np.int64)
_MODBUS[[5, 6, 15, 16, 21, 22, 23]] = WRITTEN  # coils, registers, file records
_MODBUS[[8, 17]] = ASKED  # diagnostics, report server id
_IDENTIFICATION, _DIAGNOSTICS, _UNITY = 43, 8, 90
_RESTART, _LISTEN_ONLY = 1, 4
_S7 = np.zeros(256, np.int64)
_S7[0x05] = WRITTEN  # write variable
# Download of a block (request, block, end), program control (start, insert, delete), stop.
_S7[[0x1A, 0x1B, 0x1C, 0x28, 0x29]] = HALTED
_S7[[0x1D, 0x1E, 0x1F]] = ASKED  # upload: the program is read


def modbus(heads: NDArray[np.uint8], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indicators of requests: the first bytes (n, `HEAD`), and how many are their own."""
    size = heads[:, 4].astype(np.int64) << 8 | heads[:, 5]
    function = heads[:, 7]
    out = _MODBUS.take(function)
    out[(function == _IDENTIFICATION) & (heads[:, 8] == 14)] = ASKED
    order = heads[:, 8].astype(np.int64) << 8 | heads[:, 9]
    ends = (function == _DIAGNOSTICS) & np.isin(order, (_RESTART, _LISTEN_ONLY))
    # Schneider's own function: a session, then "start" or "stop".
    ends |= (function == _UNITY) & np.isin(heads[:, 9], (0x40, 0x41))
    out[ends & (lengths >= 10)] = HALTED
    # A transaction, protocol 0, the length of what follows: a unit and at most 253 bytes.
    out *= (heads[:, 2] == 0) & (heads[:, 3] == 0) & (size >= 2) & (size <= 254) & (lengths >= 9)
    return out


def s7(heads: NDArray[np.uint8], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same of S7."""
    job = heads[:, 8] == 1
    out = np.where(job, _S7.take(heads[:, 17]), 0)
    # User data, a request (0x11) of group 4 ("CPU functions"), number 1: a list of the system.
    asks = (heads[:, 8] == 7) & (heads[:, 21] == 0x11) & (heads[:, 22] == 0x44)
    out[asks & (heads[:, 23] == 1) & (lengths >= 24)] = ASKED
    frame = (heads[:, 0] == 3) & (heads[:, 1] == 0) & (heads[:, 5] == 0xF0)
    out *= frame & (heads[:, 7] == 0x32) & (lengths >= 18)
    return out
