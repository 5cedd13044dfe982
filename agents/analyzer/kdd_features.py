"""KDD Cup 99 records to numbers in [0, 1], so that distances and networks can use them.

Same scale as `agents.analyzer.features`: shares as they are, counts and sizes as
``log(1 + x) / log(1 + cap)``, categories as one column per value. All constants are fixed: nothing
is learned from the data here, so nothing of a test file can leak into a model.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.encoding import Encoding
from datasets.kdd.kdd99 import NUMERIC, KddRecords

_CAPS = {
    "duration": 58329.0,  # seconds; the longest of KDD Cup 99
    "src_bytes": 1e7,
    "dst_bytes": 1e7,
    "wrong_fragment": 3.0,
    "urgent": 10.0,
    "hot": 100.0,
    "num_failed_logins": 5.0,
    "num_compromised": 1000.0,
    "su_attempted": 2.0,
    "num_root": 1000.0,
    "num_file_creations": 100.0,
    "num_shells": 5.0,
    "num_access_files": 10.0,
    "num_outbound_cmds": 10.0,
    "count": 511.0,  # KDD Cup 99 stops counting there
    "srv_count": 511.0,
    "dst_host_count": 255.0,  # and there
    "dst_host_srv_count": 255.0,
}
PROTOCOLS = ("tcp", "udp", "icmp")
FLAGS = ("SF", "S0", "REJ", "RSTR", "RSTO", "RSTOS0", "S1", "S2", "S3", "SH", "OTH")
SERVICES: tuple[str, ...] = tuple(
    (
        "IRC X11 Z39_50 aol auth bgp courier csnet_ns ctf daytime discard domain domain_u echo "
        "eco_i ecr_i efs exec finger ftp ftp_data gopher harvest hostnames http http_2784 http_443 "
        "http_8001 icmp imap4 iso_tsap klogin kshell ldap link login mtp name netbios_dgm "
        "netbios_ns netbios_ssn netstat nnsp nntp ntp_u other pm_dump pop_2 pop_3 printer private "
        "red_i remote_job rje shell smtp sql_net ssh sunrpc supdup systat telnet tftp_u tim_i time "
        "urh_i urp_i uucp uucp_path vmnet whois"
    ).split()
)
"""Of the task description; a service that isn't listed has all columns 0."""

GROUPS: tuple[str, ...] = (*NUMERIC, "protocol_type", "flag", "service")
"""Features as a person knows them: one per KDD column."""
COLUMN_GROUP: NDArray[np.int64] = np.repeat(
    np.arange(len(GROUPS)), [1] * len(NUMERIC) + [len(PROTOCOLS), len(FLAGS), len(SERVICES)]
)
"""(columns,) index into `GROUPS`."""
COLUMNS = len(COLUMN_GROUP)
WITHOUT_SERVICE = COLUMNS - len(SERVICES)
"""Columns before those of the service: what K-Means uses. 71 one-hot columns, each two units apart,
would make clusters of services instead of behaviours."""

ENCODING_HASH = hashlib.sha256(
    "\n".join((*NUMERIC, *map(repr, sorted(_CAPS.items())), *PROTOCOLS, *FLAGS, *SERVICES)).encode()
).hexdigest()
ENCODING = Encoding(ENCODING_HASH, GROUPS, COLUMN_GROUP, WITHOUT_SERVICE)
"""Of KDD records, as `encode` makes them."""


def encode(records: KddRecords) -> NDArray[np.float32]:
    """(n, `COLUMNS`) float32 in [0, 1], rows as in ``records``."""
    out = np.zeros((len(records), COLUMNS), np.float32)
    for column, name in enumerate(NUMERIC):
        values = records.numbers[:, column]
        if name in _CAPS:
            values = np.log1p(values) / np.log1p(_CAPS[name])
        out[:, column] = np.minimum(values, 1.0)
    column = len(NUMERIC)
    for words, known in (
        (records.protocol, PROTOCOLS),
        (records.flag, FLAGS),
        (records.service, SERVICES),
    ):
        names, inverse = np.unique(words, return_inverse=True)
        for position, name in enumerate(known, column):
            code = np.searchsorted(names, name)
            if code < len(names) and names[code] == name:
                out[inverse == code, position] = 1.0
        column += len(known)
    return out
