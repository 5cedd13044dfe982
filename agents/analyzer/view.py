"""One batch of connections, with what several detectors ask of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.analyzer.clustering import Assignment
from agents.analyzer.features import ACK, ARP, FIN, ICMP, ICMPV6, PSH, RST, STATE, SYN, TCP, UDP
from agents.analyzer.features import address_ids as _address_ids
from agents.analyzer.first_attempts import ATTEMPT

FEW = 16
"""So many rows are dealt with sooner one by one than by a dozen calls of numpy."""
CROWD = 50
"""Sources that try one port of one host in vain within a batch: a flood with forged sources.
None of them is worth a track as a scanner, and thousands would push out the real ones."""


class View:
    """One batch with what several detectors ask of it; masks are (n,) booleans."""

    def __init__(
        self,
        rows: NDArray[np.void],
        assignment: Assignment,
        features: NDArray[np.float64] | None = None,
    ) -> None:
        self.rows = rows
        self.assignment = assignment
        self.features = features
        """(n, len(FEATURES)), for the network's verdict; None: it isn't asked."""
        self._cited: dict[int, tuple[object, NDArray[np.int64]]] = {}
        self.sources, self.source = _address_ids(rows["src"])
        self.targets, self.target = _address_ids(rows["dst"])
        self.start: NDArray[np.int64] = rows["start_us"]
        self.end: NDArray[np.int64] = self.start + np.maximum(rows["duration_us"], 0)
        flags = rows["orig_flags"].astype(np.int64)
        answer = rows["resp_flags"].astype(np.int64)
        self.tcp = rows["protocol"] == TCP
        self.udp = rows["protocol"] == UDP
        self.arp = rows["protocol"] == ARP
        self.icmp = (rows["protocol"] == ICMP) | (rows["protocol"] == ICMPV6)
        # ICMP: the source port holds the type. Only a request is the sender's own idea; the errors
        # and replies that a victim sends to (perhaps forged) addresses must not accuse it.
        self.echo = ((rows["protocol"] == ICMP) & np.isin(rows["src_port"], (8, 13, 17))) | (
            (rows["protocol"] == ICMPV6) & (rows["src_port"] == 128)
        )
        self.syn = self.tcp & (flags & SYN > 0)
        established = np.isin(
            rows["state"], (STATE["S1"], STATE["SF"], STATE["RSTO"], STATE["RSTR"])
        )
        self.completed = (
            self.syn & established & (flags & ACK > 0) & (answer & SYN > 0) & (answer & ACK > 0)
        )
        # The sensor has followed the numbers of both ends (decision 5). Besides, only a responder
        # that has its handshake hands the connection to a program, which sends data or ends it.
        # Flags are of the whole connection, bytes of this report.
        spoke = (rows["resp_bytes"] > 0) | (answer & (PSH | FIN) > 0)
        self.verified = self.tcp & (rows["conversation"] > 0) & spoke
        # A handshake after which nothing is asked or answered is a probe too; a client that
        # only listens (FTP data, a banner) gets bytes and does not abort.
        self.probe = self.completed & (
            (rows["orig_bytes"] == 0)
            & ((rows["resp_bytes"] == 0) | (rows["state"] == STATE["RSTO"]))
        )
        # SYN-ACKs and RSTs without a request: a victim answering forged packets.
        backscatter = self.tcp & (
            (flags & (SYN | ACK) == SYN | ACK) & (answer & SYN == 0)
            | (flags & ~(RST | ACK) == 0) & (flags & RST > 0)
        )
        reply = self.icmp & ~self.echo
        self.initiated = ~backscatter & ~reply
        self.unanswered_syn = self.syn & ~self.completed & ~backscatter
        self.crowd = self._crowd()

    def _crowd(self) -> NDArray[np.bool_]:
        out = np.zeros(len(self.rows), bool)
        vain = self.unanswered_syn | (self.udp & (self.rows["resp_packets"] == 0))
        if vain.sum() >= CROWD:
            for rows in self.groups(vain, self.target, self.rows["dst_port"], least=CROWD):
                if len(np.unique(self.source[rows])) >= CROWD:
                    out[rows] = True
        return out

    def cite(self, finding: object, rows: NDArray[np.int64]) -> None:
        """Note that ``rows`` are behind ``finding``; the finding is held, so its id stays its."""
        self._cited[id(finding)] = (finding, rows)

    def cited(self, finding: object) -> NDArray[np.float64] | None:
        """Features of the connections last added to ``finding`` in this batch, if there are."""
        entry = self._cited.get(id(finding))
        return None if entry is None or self.features is None else self.features[entry[1]]

    def first_us(self, rows: NDArray[np.int64]) -> int:
        """The earliest start."""
        if len(rows) <= FEW:
            starts = self.starts
            first: int = min([starts[row] for row in rows.tolist()])
            return first
        return int(self.start[rows].min())

    @cached_property
    def starts(self) -> list[int]:
        """`start` and the like once more as lists, for what looks at few rows."""
        out: list[int] = self.start.tolist()
        return out

    @cached_property
    def ends(self) -> list[int]:
        out: list[int] = self.end.tolist()
        return out

    @cached_property
    def proven(self) -> list[bool]:
        """`verified` of each row."""
        out: list[bool] = self.verified.tolist()
        return out

    @cached_property
    def source_names(self) -> list[bytes]:
        """Of each row; one object per address."""
        names = self.sources.tolist()
        return [names[number] for number in self.source.tolist()]

    @cached_property
    def target_names(self) -> list[bytes]:
        names = self.targets.tolist()
        return [names[number] for number in self.target.tolist()]

    @cached_property
    def clusters(self) -> list[int]:
        out: list[int] = self.assignment.cluster.tolist()
        return out

    @cached_property
    def distances(self) -> list[float]:
        out: list[float] = self.assignment.distance.tolist()
        return out

    @cached_property
    def sent(self) -> list[tuple[int, int]]:
        """(packets, payload bytes) of the originator."""
        rows = self.rows
        return list(zip(rows["orig_packets"].tolist(), rows["orig_bytes"].tolist(), strict=True))

    @cached_property
    def packets(self) -> NDArray[np.int64]:
        """Packets of the originator."""
        out: NDArray[np.int64] = self.rows["orig_packets"].astype(np.int64)
        return out

    def groups(
        self, mask: NDArray[np.bool_], *keys: NDArray[Any], least: int = 1
    ) -> Iterator[NDArray[np.int64]]:
        """Row numbers of ``mask``, split by equal values in all ``keys`` (whole columns).

        Groups of less than ``least`` rows are passed over.
        """
        rows, bounds = self.runs(mask, *keys)
        if least > 1:
            some = np.flatnonzero(np.diff(bounds) >= least)
            pairs: Iterable[tuple[int, int]] = zip(
                bounds[some].tolist(), bounds[some + 1].tolist(), strict=True
            )
        else:
            pairs = itertools.pairwise(bounds.tolist())
        for begin, end in pairs:
            yield rows[begin:end]

    def runs(
        self, mask: NDArray[np.bool_], *keys: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The same in two arrays: row numbers, and where in them each group begins and all end."""
        chosen = np.flatnonzero(mask)
        if not len(chosen):
            return chosen, np.zeros(1, np.int64)
        columns = [key[chosen].astype(np.int64) for key in keys]
        order = np.lexsort(columns[::-1])
        changed = np.zeros(len(chosen), bool)
        for column in columns:
            ordered = column[order]
            changed[1:] |= ordered[1:] != ordered[:-1]
        bounds = np.concatenate(([0], np.flatnonzero(changed), [len(chosen)]))
        return chosen[order], bounds

    def pair_keys(self, tag: int, rows: NDArray[np.int64]) -> list[bytes]:
        """For each row a key of both addresses; ``tag`` (0 to 255) separates a table's uses."""
        out = np.empty((len(rows), 33), np.uint8)
        out[:, 0] = tag
        out[:, 1:17] = self.rows["src"][rows]
        out[:, 17:] = self.rows["dst"][rows]
        keys: list[bytes] = out.view("V33").reshape(-1).tolist()
        return keys

    def port_keys(
        self, tag: int, rows: NDArray[np.int64], ports: NDArray[np.integer]
    ) -> list[bytes]:
        """For each row a key of its source and its place in ``ports`` (a whole column)."""
        out = np.empty((len(rows), 19), np.uint8)
        out[:, 0] = tag
        out[:, 1:17] = self.rows["src"][rows]
        out[:, 17:] = ports[rows].astype(">u2").view(np.uint8).reshape(-1, 2)
        keys: list[bytes] = out.view("V19").reshape(-1).tolist()
        return keys

    def attempts(self, rows: NDArray[np.int64], failed: NDArray[np.bool_]) -> NDArray[np.void]:
        """``rows`` as `first_attempts.ATTEMPT`; ``failed``: a whole column."""
        table, out = self.rows, np.empty(len(rows), ATTEMPT)
        out["begin_us"], out["end_us"] = self.start[rows], self.end[rows]
        out["cluster"] = self.assignment.cluster[rows]
        out["distance"] = self.assignment.distance[rows]
        for name in ("src_port", "dst_port", "protocol"):
            out[name] = table[name][rows]
        out["failed"] = failed[rows]
        answered = table["resp_flags"][rows] & (SYN | ACK) == SYN | ACK
        out["half_open"] = answered & (table["orig_flags"][rows] & (RST | ACK) == RST)
        out["refused"] = table["state"][rows] == STATE["REJ"]
        out["source"] = self.sources[self.source[rows]]
        out["target"] = self.targets[self.target[rows]]
        return out
