"""What may be blocked, for how long and how often: the last judge before the kernel. Pure.

Whoever asks, with whatever signature, never gets an address of the allow-list, of the honeynet
itself or of no single host blocked, and never for longer than the policy allows.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass
from typing import Final, TypeVar

from agents.base.protected import Protected, canonical, canonical_network
from agents.settings.honeynet import Settings
from agents.settings.modes import HELD
from ontology.oversight import USER_PREFIX
from ontology.records import Address, Decision, Network

_K = TypeVar("_K")
_V = TypeVar("_V")

_WINDOW_US: Final = 60_000_000
_REMEMBERED: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of one decision on this gateway."""

    permitted: bool
    address: Address
    """The decision's source in its one form: without scope, IPv4 where it is IPv4-mapped."""
    duration_s: int
    """Cut to the policy's maximum; 0 for an ``unblock`` and for a refusal."""
    reason: str = ""
    """Why refused, in words for a person."""
    rule: str = ""
    """Why refused, in one word, for a counter."""


class ReactionPolicy:
    """Judges decisions for one gateway; remembers, but never asks a clock.

    Args:
        gateway: its node, for its mode.
    """

    def __init__(self, settings: Settings, gateway: str = "") -> None:
        policy = settings.policy
        self._maximum_s = policy.maximum_duration
        self._rate = policy.maximum_blocks_per_minute
        self._gateway, self._modes = gateway, settings.modes()
        self._protected = Protected.from_settings(settings)
        self.allow: tuple[Network, ...] = tuple(
            dict.fromkeys(canonical_network(network) for network in settings.allow_networks())
        )
        """What the firewall must never drop: allow-list and the honeynet's own addresses."""
        self.counters: Counter[str] = Counter()
        """Refusals by rule."""
        self._recent: deque[int] = deque()
        self._applied: OrderedDict[str, Address] = OrderedDict()
        self._refused: OrderedDict[str, Verdict] = OrderedDict()

    @property
    def protected(self) -> Protected:
        """Who must never be blocked; the agent adds what the kernel says."""
        return self._protected

    @protected.setter
    def protected(self, protected: Protected) -> None:
        self._protected = protected
        self._refused.clear()

    def judge(
        self, decision: Decision, now_us: int, *, age_s: float = 0.0, renewal: bool = False
    ) -> Verdict:
        """Permit or refuse; the same decision gets the same answer again.

        Args:
            now_us: on a clock that only runs.
            age_s: how long ago it was ordered, counted without any wall clock.

        A permitted block may be repeated (the supervisor sends its active blocks again when this
        agent comes back): neither that nor a ``renewal``, of an address that is blocked already,
        uses up any of the rate. A refusal for its time or the rate is not remembered: the same
        decision may come again, with the time that is left by then.
        """
        address = canonical(decision.source)
        if (refused := self._refused.get(decision.id)) is not None:
            self.counters["repeated"] += 1
            return refused
        if decision.action == "unblock":
            return Verdict(permitted=True, address=address, duration_s=0)
        refusal = self.protected.judge(address)
        found = (
            (refusal.rule, refusal.reason)
            if refusal is not None
            else self._held(decision) or self._untimely(decision, age_s)
        )
        if found is None and not renewal and self._applied.get(decision.id) != address:
            found = self._too_many(now_us)
        if found is not None:
            rule, reason = found
            self.counters[rule] += 1
            verdict = Verdict(
                permitted=False, address=address, duration_s=0, reason=reason, rule=rule
            )
            if rule not in ("rate", "stale", *HELD.values()):
                _remember(self._refused, decision.id, verdict)
            return verdict
        _remember(self._applied, decision.id, address)
        duration_s = min(decision.duration_s, self._maximum_s)
        if duration_s < decision.duration_s:
            self.counters["shortened"] += 1
        return Verdict(permitted=True, address=address, duration_s=duration_s)

    @property
    def drops_nothing(self) -> bool:
        """Whether this gateway only tells what it would block."""
        return self._modes.of(self._gateway, "", by_person=True).mode == "shadow"

    def _held(self, decision: Decision) -> tuple[str, str] | None:
        """What a mode keeps from being carried out; supervisors speak for persons."""
        person = decision.origin.startswith(USER_PREFIX)
        held = self._modes.of(self._gateway, decision.classification, by_person=person)
        if held.mode == "enforce":
            return None
        approve = held.mode == "approve"
        words = "a person must approve it" if approve else "it would have been blocked"
        return HELD[held.mode], f"{held.words}: {words}"

    @staticmethod
    def _untimely(decision: Decision, age_s: float) -> tuple[str, str] | None:
        if decision.duration_s <= age_s:
            over_s = int(age_s - decision.duration_s)
            return "stale", f"the decision's time was over {over_s} s before it came"
        return None

    def _too_many(self, now_us: int) -> tuple[str, str] | None:
        while self._recent and self._recent[0] <= now_us - _WINDOW_US:
            self._recent.popleft()
        if len(self._recent) >= self._rate:
            return "rate", f"{self._rate} blocks in the last minute already, no more are allowed"
        self._recent.append(now_us)
        return None


def _remember(memory: OrderedDict[_K, _V], key: _K, value: _V) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)
