"""Refused logins of binary protocols: MySQL, PostgreSQL, SQL Server, SMB, compared block-wise.

Only packets from a service's port are looked at, only their first bytes, all at once. TLS hides
them (MySQL and SQL Server clients of today mostly ask for it, SMB 3 does not until the session is
set up).
"""

from __future__ import annotations

import numpy as np

from agents.sensor.flows.packets import TCP, Ints, Packets
from datasets.captures.pcap import rows

MYSQL, POSTGRES, MSSQL, SMB = 3306, 5432, 1433, 445
_SERVED = np.zeros(1 << 16, np.bool_)
_SERVED[[MYSQL, POSTGRES, MSSQL, SMB]] = True
_HEAD = 28
_POSTGRES_BYTES = 64

# Sent by any PostgreSQL as SQLSTATE of a refused login (appendix A): 28P01 wrong password,
# 28000 no such role or no entry in pg_hba.conf.
_SQLSTATES = (b"C28P01\0", b"C28000\0")
_LOGON_FAILURES = (
    0xC000006D,  # STATUS_LOGON_FAILURE
    0xC000006A,  # STATUS_WRONG_PASSWORD
    0xC0000064,  # STATUS_NO_SUCH_USER
    0xC0000234,  # STATUS_ACCOUNT_LOCKED_OUT
)
_TDS_LOGIN_FAILED = (18456).to_bytes(4, "little")


def refusals(packets: Packets) -> Ints:
    """Positions of the packets that refuse a login, ascending."""
    served = _SERVED.take(packets.src_port)
    if not served.any():
        return np.zeros(0, np.int64)
    served &= (packets.payload_length >= 9) & (packets.protocol == TCP)
    which = np.flatnonzero(served)
    if not len(which):
        return which
    # Bytes behind a short payload are compared as well, never read as if they were its own:
    # each comparison ends before the ninth byte or asks for the length it needs.
    head = rows(packets.data, packets.payload_offset[which], _HEAD)
    port, length = packets.src_port[which], packets.payload_length[which]
    # Error packet 1045 (ER_ACCESS_DENIED_ERROR): three bytes of length, a number, 0xff, the code.
    mysql = (port == MYSQL) & (head[:, 4:7] == (0xFF, 0x15, 0x04)).all(axis=1)
    # NetBIOS length, then SMB 2's header with command SESSION_SETUP, or SMB 1's with the same.
    status2 = head[:, 12:16].copy().view("<u4")[:, 0]
    smb = (port == SMB) & (head[:, 4:8] == tuple(b"\xfeSMB")).all(axis=1) & (length >= 18)
    smb &= (head[:, 16] == 1) & np.isin(status2, _LOGON_FAILURES)
    status1 = head[:, 9:13].copy().view("<u4")[:, 0]
    old = (port == SMB) & (head[:, 4:8] == tuple(b"\xffSMB")).all(axis=1) & (length >= 13)
    old &= (head[:, 8] == 0x73) & np.isin(status1, _LOGON_FAILURES)
    found = mysql | smb | old
    # Only errors are left to read: type 'E' with a severity first; a TDS reply with error token.
    texts = (port == POSTGRES) & (head[:, 0] == ord("E")) & (head[:, 5] == ord("S"))
    texts |= (port == MSSQL) & (head[:, 0] == 4) & (head[:, 8] == 0xAA)
    for number in np.flatnonzero(texts).tolist():
        start = int(packets.payload_offset[which[number]])
        size = min(int(length[number]), _POSTGRES_BYTES)
        text = packets.data[start : start + size].tobytes()
        if port[number] == MSSQL:
            found[number] = text[11:15] == _TDS_LOGIN_FAILED
        else:
            found[number] = any(state in text for state in _SQLSTATES)
    refused: Ints = which[found]
    return refused
