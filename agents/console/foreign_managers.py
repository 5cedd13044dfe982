"""Managers of others that send us alerts: their keys, how much they may send, whom it is told."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agents.console.asking import Tell
from agents.idmef.taking import Taken, take
from agents.settings.manager_sections import Manager

MIN_KEY = 32
"""Characters of a key: nobody guesses one, so guesses need not be counted."""
MAX_KEY = 1024
PER_MESSAGE = 50
"""Alerts of one message to the analyzer."""


class KeyFileError(ValueError):
    """A manager's key can't be used; the message is one line."""


class TooMany(Exception):
    """More than a manager may send; ``wait_s``: when there is room again."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many alerts; wait {wait_s} s")
        self.wait_s = wait_s


def read_keys(managers: Sequence[Manager]) -> dict[str, bytes]:
    """SHA-256 of each manager's key, by name. Raises: KeyFileError."""
    found: dict[str, bytes] = {}
    for manager in managers:
        path = manager.key_file
        if path is None:
            continue
        begin = f"key of manager {manager.name!r}: {path}"
        try:
            mode = path.stat().st_mode
            key = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as e:
            why = e.strerror if isinstance(e, OSError) else "not ASCII"
            raise KeyFileError(f"{begin}: {why}") from e
        if mode & 0o077:
            raise KeyFileError(f"{begin}: others can read it, mode {mode & 0o777:o}: chmod 600")
        if not MIN_KEY <= len(key) <= MAX_KEY or not key.isprintable() or " " in key:
            raise KeyFileError(
                f"{begin}: {len(key)} characters; {MIN_KEY} to {MAX_KEY} on one line are wanted, "
                "as of `openssl rand -hex 32`"
            )
        digest = hashlib.sha256(key.encode()).digest()
        if digest in found.values():
            raise KeyFileError(f"{begin}: another manager has the same key")
        found[manager.name] = digest
    return found


@dataclass(slots=True)
class _Bucket:
    room: float
    at_us: int


class ForeignManagers:
    """Takes what managers send.

    Args:
        sensor: our own bare JID: by whom it came in.
        pass_on: hands alerts to an analyzer; None where there is none.
        clock: epoch microseconds; ``steady``: microseconds on a clock that only runs.
    """

    def __init__(
        self,
        managers: Sequence[Manager],
        *,
        sensor: str,
        pass_on: Tell | None,
        clock: Callable[[], int],
        steady: Callable[[], int],
        counters: Counter[str],
    ) -> None:
        self._managers = {manager.name: manager for manager in managers}
        self._sensor, self._pass_on = sensor, pass_on
        self._clock, self._steady, self._counters = clock, steady, counters
        self._buckets: dict[str, _Bucket] = {}

    @property
    def heard(self) -> bool:
        """Whether anybody would hear of what is sent."""
        return self._pass_on is not None

    def by_key(self, key: str, keys: Mapping[str, bytes]) -> Manager | None:
        """Whose key it is; every one is compared, in constant time."""
        digest = hashlib.sha256(key.encode(errors="replace")).digest()
        found = [name for name, known in keys.items() if hmac.compare_digest(known, digest)]
        return self._managers.get(found[0]) if found else None

    async def take(self, manager: Manager, data: bytes) -> Taken:
        """Read what was sent, and pass the alerts on. Raises: TooMany (then nothing was taken)."""
        bucket = self._bucket(manager)
        if bucket.room < 1:
            raise self._too_many(manager, bucket, 1)
        taken = await asyncio.to_thread(
            take, data, manager.origin(), sensor=self._sensor, now_us=self._clock()
        )
        # Reports that are refused cost us as much.
        cost = max(taken.reports, 1)
        bucket = self._bucket(manager)
        if bucket.room < cost:
            bucket.room -= 1
            raise self._too_many(manager, bucket, cost)
        bucket.room -= cost
        counters, name = self._counters, manager.name
        counters[f"idmef.{name}.taken"] += len(taken.alerts)
        counters[f"idmef.{name}.ignored"] += taken.ignored
        counters[f"idmef.{name}.refused"] += len(taken.refused)
        for begin in range(0, len(taken.alerts) if self._pass_on else 0, PER_MESSAGE):
            assert self._pass_on is not None  # noqa: S101  (as the range is empty then)
            await self._pass_on(taken.alerts[begin : begin + PER_MESSAGE])
        return taken

    def _bucket(self, manager: Manager) -> _Bucket:
        now_us, most = self._steady(), float(manager.alerts_per_minute)
        bucket = self._buckets.setdefault(manager.name, _Bucket(most, now_us))
        gained = (now_us - bucket.at_us) * most / 60e6
        bucket.room, bucket.at_us = min(bucket.room + gained, most), now_us
        return bucket

    def _too_many(self, manager: Manager, bucket: _Bucket, cost: int) -> TooMany:
        self._counters[f"idmef.{manager.name}.too_many"] += 1
        lacking = cost - bucket.room
        return TooMany(max(int(lacking * 60 / manager.alerts_per_minute) + 1, 1))
