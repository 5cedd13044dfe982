"""The Linux kernel's firewall: one table of ours, blocks with the kernel's own timeouts.

The rules are installed once, as JSON, in one transaction; orders go over `agents.reaction.netlink`.
Blocks are elements of hash sets with a timeout, so they end by themselves even when every agent is
dead, and they outlive the agent. Base chains come before connection tracking and before everybody
else's, so an established flow is cut too, and no other table can let it pass.
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
)
from typing import Any, Final, TypeVar

from agents.reaction.firewall import Drift, FirewallError, Traffic
from agents.reaction.netlink import Change, NetlinkError, NetlinkSocket
from agents.reaction.packet_path import NOBODY, prove
from agents.reaction.ruleset import (
    COUNTERS,
    EXPECTED,
    SET_SIZE,
    TABLE,
    canonical,
    networks,
    whole_table,
)
from ontology.records import Address, Network

_T = TypeVar("_T")

ENDLESS_S: Final = 366.0 * 86400
"""What an element without an end (somebody made it by hand) counts as, seconds."""

_ATTEMPTS: Final = 5
_NFT_S: Final = 60.0
_PER_ELEMENT: Final = 96  # upper bound of netlink bytes for a delete and an add of one address
_SLACK_S: Final = 2.0
_FEW: Final = 64  # below this, asking for single elements beats a listing

_NO_CAPABILITY: Final = (
    "changing nftables needs CAP_NET_ADMIN: run as root, or give the service "
    "AmbientCapabilities=CAP_NET_ADMIN, or set policy.dry_run"
)


class _TooLarge(FirewallError):
    """The kernel takes no transaction of this size from us."""


def _set_name(address: Address) -> str:
    return f"block{address.version}"


def _typed(address: Address) -> Address:
    # A string would be harmless here (no grammar), but it means that someone skipped parsing.
    if not isinstance(address, IPv4Address | IPv6Address):
        raise TypeError(f"an address must be IPv4Address or IPv6Address, got {type(address)}")
    return address


class Nftables:
    """The `Firewall` of the network namespace it is made in. Safe to call from several threads."""

    def __init__(self, allow: Sequence[Network] = ()) -> None:
        """``allow``: never blocked; also enforced by the kernel, ahead of the drop."""
        for network in allow:
            if not isinstance(network, IPv4Network | IPv6Network):
                raise TypeError(f"an allow-list entry must be a network, got {type(network)}")
        # Overlapping intervals are an error in the kernel.
        self._allow: tuple[Network, ...] = (
            *collapse_addresses(n for n in allow if isinstance(n, IPv4Network)),
            *collapse_addresses(n for n in allow if isinstance(n, IPv6Network)),
        )
        self._lock = threading.Lock()
        self._socket: NetlinkSocket | None = None
        self._generation: int | None = None
        """The rule set's generation when all was known to be well; None: not known."""
        self._as_listed: list[str] | None = None
        """The table as this version of nft lists it, right after it was made."""
        self._repaired = False
        """Rebuilt on the way to a block, and not yet told to `reconcile`'s caller."""

    def install(self) -> None:
        with self._lock:
            generation = self._ask(NetlinkSocket.generation)
            if not self._intact():
                self._rebuild()
            else:
                self._generation = generation

    def block(self, address: Address, seconds: float) -> float:
        self._check(address, seconds)
        with self._lock:
            return self._block(address, seconds)

    def reblock(self, address: Address, seconds: float) -> float:
        self._check(address, seconds)
        with self._lock:
            return self._block(address, seconds, shorten=True)

    def block_many(self, wanted: Mapping[Address, float]) -> None:
        for address, seconds in wanted.items():
            self._check(address, seconds)
        with self._lock:
            self._block_many(wanted)

    def unblock(self, address: Address) -> bool:
        change = Change("delete", _set_name(_typed(address)), [address.packed])
        with self._lock:
            for _ in range(_ATTEMPTS):
                answer = self._commit([change])
                if answer in (0, errno.ENOENT):
                    return answer == 0
        raise FirewallError(f"{address}: the kernel's answer keeps getting lost")

    def blocked(self) -> dict[Address, float]:
        with self._lock:
            return self._blocked()

    def remaining(self, address: Address) -> float | None:
        with self._lock:
            return self._present(_typed(address))

    def changed(self) -> bool:
        with self._lock:
            return self._changed()

    def counters(self) -> dict[str, Traffic]:
        with self._lock:
            return {name: self._traffic(name) for name in COUNTERS}

    def verify(self) -> bool:
        with self._lock:
            return not self._changed() or self._intact()

    def reconcile(self, wanted: Mapping[Address, float]) -> Drift:
        with self._lock:
            if not self._changed():
                return Drift()
            generation = self._ask(NetlinkSocket.generation)
            reinstalled = not self._intact()
            if reinstalled:
                self._rebuild()
            present = self._blocked()
            missing = {
                address: seconds
                for address, seconds in wanted.items()
                if 0 < seconds <= ENDLESS_S
                and present.get(_typed(address), 0.0) + _SLACK_S < seconds
                and not self._allowed(address)
            }
            self._block_many(missing)
            # After a repair the next round looks again: whoever did it may not have finished.
            clean = not (reinstalled or missing or self._repaired)
            self._generation = generation if clean else None
            reinstalled, self._repaired = reinstalled or self._repaired, False
            return Drift(reinstalled=reinstalled, restored=tuple(missing))

    def prove(self) -> str:
        return prove(self, (a for a in NOBODY.values() if not self._allowed(a)))

    def remove(self) -> None:
        with self._lock:
            table = {"table": {"family": "inet", "name": TABLE}}
            # Added first, so that deleting what is not there is no error.
            self._apply([{"add": table}, {"delete": table}])

    def close(self) -> None:
        with self._lock:
            self._close()

    def _check(self, address: Address, seconds: float) -> None:
        if not 0 < seconds <= ENDLESS_S:
            raise ValueError(f"seconds must lie in (0, {ENDLESS_S:g}], got {seconds}")
        # The policy refuses these already; this wall stands even if a caller forgets to ask it.
        if self._allowed(_typed(address)):
            raise FirewallError(f"{address} is on the allow-list")

    def _allowed(self, address: Address) -> bool:
        return any(address in network for network in self._allow)

    # Everything below expects the lock to be held.

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, question: Callable[[NetlinkSocket], _T]) -> _T:
        """Put a question to the kernel."""
        try:
            if self._socket is None:
                self._socket = NetlinkSocket(TABLE)
            return question(self._socket)
        except NetlinkError as e:
            if e.errno in (errno.ENOBUFS, errno.ETIMEDOUT):
                self._close()  # what is still queued there belongs to nobody
            raise FirewallError(_explain(e)) from e
        except OSError as e:
            raise FirewallError(f"no netfilter netlink socket: {e.strerror}") from e

    def _commit(self, changes: Sequence[Change]) -> int:
        """0 if applied; EEXIST, ENOENT: an element (or the table) is not as expected; ENOBUFS:
        the answer was lost. Raises: FirewallError for everything else."""
        try:
            before = self._ask(NetlinkSocket.generation)
            self._ask(lambda s: s.commit(changes))
        except FirewallError as e:
            number = e.__cause__.errno if isinstance(e.__cause__, NetlinkError) else None
            if number in (errno.EEXIST, errno.ENOENT):
                return number
            if number in (errno.ENOBUFS, errno.ETIMEDOUT):
                return errno.ENOBUFS
            raise
        # Only our own change since all was well: still well, without looking.
        if self._generation == before:
            after = self._ask(NetlinkSocket.generation)
            self._generation = after if after == (before + 1) & 0xFFFFFFFF else None
        return 0

    def _block(self, address: Address, seconds: float, *, shorten: bool = False) -> float:
        name, key, wanted = _set_name(address), address.packed, math.ceil(seconds * 1000)
        for _ in range(_ATTEMPTS):
            present = self._present(address)
            if present is not None and present * 1000 >= wanted and not shorten:
                return present
            changes = [Change("add", name, [key], [wanted])]
            if present is not None:
                # Kernels before 6.12 ignore an add of what is there; the pair renews on all.
                changes.insert(0, Change("delete", name, [key]))
            answer = self._commit(changes)
            if answer == 0:
                return wanted / 1000
            if answer == errno.ENOENT and present is None:
                self._repair()
            # Else it expired, or somebody else made it, between the two: look again.
        raise FirewallError(f"{address}: somebody else keeps changing this block")

    def _block_many(self, wanted: Mapping[Address, float]) -> None:
        if len(wanted) <= _FEW:
            for address, seconds in wanted.items():
                self._block(address, seconds)
            return
        self._repair()
        present = self._blocked()
        todo = [(a, s) for a, s in wanted.items() if present.get(a, 0.0) < s]
        todo.sort(key=lambda pair: pair[0].version)
        step = max(1, self._ask(lambda s: s.transaction_limit) // _PER_ELEMENT)
        for start in range(0, len(todo), step):
            part = todo[start : start + step]
            changes = []
            for version in (4, 6):
                name = f"block{version}"
                here = [(a, s) for a, s in part if a.version == version]
                old = [a.packed for a, _ in here if a in present]
                keys = [a.packed for a, _ in here]
                times = [math.ceil(s * 1000) for _, s in here]
                changes += [Change("delete", name, old)] if old else []
                changes += [Change("add", name, keys, times)] if keys else []
            if self._commit(changes) != 0:
                # One element expired or appeared meanwhile: the careful way, for this part only.
                for address, seconds in part:
                    self._block(address, seconds)

    def _present(self, address: Address) -> float | None:
        """Seconds the block of one address still has; None if there is none."""
        name, key = _set_name(address), address.packed
        found, milliseconds = self._ask(lambda s: s.remaining(name, key))
        if not found:
            return None
        return ENDLESS_S if milliseconds is None else milliseconds / 1000

    def _blocked(self) -> dict[Address, float]:
        out: dict[Address, float] = {}
        for name, kind, width in (("block4", IPv4Address, 4), ("block6", IPv6Address, 16)):
            for key, milliseconds in self._ask(
                partial(NetlinkSocket.elements, set_name=name)
            ).items():
                if len(key) == width:
                    seconds = ENDLESS_S if milliseconds is None else milliseconds / 1000
                    out[kind(key)] = min(seconds, ENDLESS_S)
        return out

    def _traffic(self, name: str) -> Traffic:
        return Traffic(*self._ask(lambda s: s.counter(name)))

    def _changed(self) -> bool:
        """False if the rule set is at the generation that was last found well."""
        if self._generation is None:
            return True
        return self._ask(NetlinkSocket.generation) != self._generation

    def _intact(self) -> bool:
        """True if the table is exactly ours, allow-list included. Blocks are not looked at."""
        listing = self._nft("-j", "-t", "list", "table", "inet", TABLE)
        if listing is None:
            return False
        found = canonical(listing)
        if found not in (EXPECTED, self._as_listed):
            return False
        for version in (4, 6):
            listing = self._nft("-j", "list", "set", "inet", TABLE, f"allow{version}")
            found_networks = None if listing is None else networks(listing)
            if found_networks != {n for n in self._allow if n.version == version}:
                return False
        return True

    def _repair(self) -> None:
        """Rebuild a table that is gone or altered, so that a block has something to go into."""
        if self._changed() and not self._intact():
            self._rebuild()
            self._repaired = True

    def _rebuild(self) -> None:
        """Replace the table in one transaction, with the blocks that are in the old one."""
        try:
            blocks = self._blocked()
        except FirewallError as e:
            if not isinstance(e.__cause__, NetlinkError) or e.__cause__.errno != errno.ENOENT:
                raise
            blocks = {}
        carried = {a: seconds for a, seconds in blocks.items() if not self._allowed(a)}
        late: dict[Address, float] = {}
        try:
            self._apply(whole_table(self._allow, carried))
        except _TooLarge:
            # In a user namespace nft may not enlarge its send buffer. Then the blocks follow in
            # transactions of their own, some milliseconds later.
            late = carried
            self._apply(whole_table(self._allow, {}))
        listing = self._nft("-j", "-t", "list", "table", "inet", TABLE)
        # Another version of nft may write the same rules in other words.
        self._as_listed = None if listing is None else canonical(listing)
        self._block_many(late)

    def _apply(self, commands: Sequence[dict[str, Any]]) -> None:
        self._generation = None
        done = self._run(("-j", "-f", "-"), json.dumps({"nftables": commands}))
        if done.returncode:
            said = done.stderr.strip()
            if "Operation not permitted" in said:
                raise FirewallError(_NO_CAPABILITY)
            if "Message too long" in said:
                raise _TooLarge("the rules are too large for one transaction")
            lines = said.splitlines() or [f"exit code {done.returncode}"]
            raise FirewallError(f"nft refused the rules: {lines[0][:300]}")

    def _nft(self, *arguments: str) -> list[dict[str, Any]] | None:
        """The objects of a listing, or None if nft can't list it (mostly: it is not there)."""
        done = self._run(arguments, "")
        if done.returncode:
            if "Operation not permitted" in done.stderr:
                raise FirewallError(_NO_CAPABILITY)
            return None
        try:
            objects = json.loads(done.stdout)["nftables"]
        except (ValueError, KeyError, TypeError) as e:
            raise FirewallError(f"nft {' '.join(arguments)} did not answer in JSON") from e
        return [entry for entry in objects if isinstance(entry, dict)]

    @staticmethod
    def _run(arguments: Sequence[str], text: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))
        nft = shutil.which("nft", path=path)
        if nft is None:
            raise FirewallError("the command 'nft' is missing (Debian package nftables)")
        try:
            return subprocess.run(
                [nft, *arguments],
                input=text,
                env={"PATH": path, "LC_ALL": "C.UTF-8"},
                capture_output=True,
                text=True,
                timeout=_NFT_S,
                check=False,
            )
        except subprocess.TimeoutExpired as e:
            raise FirewallError(f"nft did not end within {_NFT_S:g} s") from e


def _explain(error: NetlinkError) -> str:
    if error.errno in (errno.EPERM, errno.EACCES):
        return _NO_CAPABILITY
    if error.errno == errno.ENFILE:
        return f"the kernel's set is full ({SET_SIZE} blocks)"
    return f"nf_tables: {error.strerror}"
