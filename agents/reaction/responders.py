"""What carries out a gateway's blocks: the responders of the node, ours and other packages'.

Every entry point of the group ``ontoidps.responders`` is called with `ResponderOptions` and gives a
`Responder` (docs/plugins.md). The first one named in honeynet.toml *leads*: a block is in force
when it says so. The others assist, each in a thread of its own: what they do wrong, or slowly,
neither delays nor undoes a block; it is tried again, counted and told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from agents import plugins
from agents.reaction.firewall import Drift, Firewall, FirewallError, Traffic
from agents.reaction.nftables import Nftables
from ontology.records import Address, Network

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

MAX_ORDERS = 100_000
"""Addresses for which an assistant still has something to do; the oldest is forgotten, counted."""
_FIRST_RETRY_S = 1.0
_MAX_RETRY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderOptions:
    """What a responder is told when it is made."""

    gateway: str = ""
    """Name of the node."""
    allow: tuple[Network, ...] = ()
    """Never blocked. The policy sees to it; a responder may do so once more."""
    interfaces: tuple[str, ...] = ()
    """Where the node's sensor captures; empty if it has none."""


class Responder(Protocol):
    """Timed blocks of exact addresses. Methods may block; one is called at a time.

    Whatever they raise is reported as this responder's failure.
    """

    def install(self) -> None:
        """Get ready; blocks of an earlier run may still be there."""

    def block(self, address: Address, seconds: float) -> float:
        """Act against ``address`` until ``seconds`` from now. Returns the seconds it now has."""

    def unblock(self, address: Address) -> bool:
        """Stop now; False if there was nothing to stop."""

    def blocked(self) -> Mapping[Address, float]:
        """Every address acted against, and the seconds that are left."""

    def close(self) -> None:
        """Let go; what can stay in force stays."""


def nftables(options: ResponderOptions) -> Nftables:
    """The kernel's firewall, with the kernel's own timeouts."""
    return Nftables(options.allow)


class Adapted:
    """Any `Responder` as a `Firewall`: what it lacks is made of what it has."""

    def __init__(self, name: str, responder: Responder) -> None:
        self._name = name
        self._responder = responder

    def install(self) -> None:
        self._ask(self._responder.install)

    def block(self, address: Address, seconds: float) -> float:
        return float(self._ask(lambda: self._responder.block(address, seconds)))

    def reblock(self, address: Address, seconds: float) -> float:
        self.unblock(address)
        return self.block(address, seconds)

    def block_many(self, wanted: Mapping[Address, float]) -> None:
        for address, seconds in wanted.items():
            self.block(address, seconds)

    def unblock(self, address: Address) -> bool:
        return bool(self._ask(lambda: self._responder.unblock(address)))

    def blocked(self) -> dict[Address, float]:
        return dict(self._ask(self._responder.blocked))

    def remaining(self, address: Address) -> float | None:
        return self.blocked().get(address)

    def changed(self) -> bool:
        """It has no way to tell: `reconcile` looks."""
        return True

    def counters(self) -> dict[str, Traffic]:
        return {}

    def verify(self) -> bool:
        return True

    def prove(self) -> str:
        return ""

    def reconcile(self, wanted: Mapping[Address, float]) -> Drift:
        present = self.blocked()
        missing = tuple(a for a, s in wanted.items() if s > 2 and present.get(a, 0) + 2 < s)
        for address in missing:
            self.block(address, wanted[address])
        return Drift(restored=missing)

    def remove(self) -> None:
        for address in self.blocked():
            self.unblock(address)

    def close(self) -> None:
        self._ask(self._responder.close)

    def _ask(self, question: Callable[[], _T]) -> _T:
        try:
            return question()
        except FirewallError:
            raise
        except (Exception, SystemExit) as e:
            raise FirewallError(f"responder {self._name!r}: {type(e).__name__}: {e}") from e


class Assistant:
    """A responder that follows the lead in its own time; the newest order for an address counts."""

    def __init__(
        self, name: str, responder: Responder, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.counters: Counter[str] = Counter()
        """orders, errors (each of which is tried again), forgotten."""
        self._responder = responder
        self._clock = clock
        self._orders: dict[Address, float | None] = {}
        """Address to the end of its block; None: unblock."""
        self._news = threading.Condition()
        self._ended = False
        self._logged = ""
        self._thread = threading.Thread(target=self._run, name=f"responder-{name}", daemon=True)
        self._thread.start()

    def order(self, address: Address, seconds: float | None) -> None:
        """Block for ``seconds``, or unblock (None). Returns at once."""
        with self._news:
            self._orders.pop(address, None)
            self._orders[address] = None if seconds is None else self._clock() + seconds
            if len(self._orders) > MAX_ORDERS:
                del self._orders[next(iter(self._orders))]
                self.counters["forgotten"] += 1
            self._news.notify()

    @property
    def waiting(self) -> int:
        """Orders not yet carried out."""
        return len(self._orders)

    def close(self) -> None:
        """Waits at most two seconds for what it is doing."""
        with self._news:
            self._ended = True
            self._news.notify()
        self._thread.join(2.0)

    def _run(self) -> None:
        delay = _FIRST_RETRY_S
        installed = False
        while True:
            with self._news:
                if not self._orders and installed and not self._ended:
                    self._news.wait()
                if self._ended:
                    break
                order = next(iter(self._orders.items()), None) if installed else None
            try:
                if not installed:
                    self._responder.install()
                    installed = True
                elif order is not None:
                    self._carry_out(*order)
                delay = _FIRST_RETRY_S
            except (Exception, SystemExit) as e:
                self.counters["errors"] += 1
                text = f"{type(e).__name__}: {e}"
                if text != self._logged:  # once, not at every try
                    logger.error("responder %r failed, it is tried again: %s", self.name, text)
                self._logged = text
                with self._news:
                    if order is not None and order[0] in self._orders:
                        # Behind the others: one bad address must not keep them waiting.
                        self._orders[order[0]] = self._orders.pop(order[0])
                    if not self._ended:
                        self._news.wait(delay)
                delay = min(delay * 2, _MAX_RETRY_S)
        try:
            self._responder.close()
        except (Exception, SystemExit) as e:
            logger.error("responder %r can't be closed: %s", self.name, e)

    def _carry_out(self, address: Address, end: float | None) -> None:
        if end is None:
            self._responder.unblock(address)
        elif (left := end - self._clock()) > 0:
            self._responder.block(address, left)
        self.counters["orders"] += 1
        with self._news:
            if self._orders.get(address, ()) == end:  # unless there is a newer order
                self._orders.pop(address, None)


class Team:
    """One responder that leads and others that assist, as the one `Firewall` of the gateway."""

    def __init__(self, lead: Firewall, assistants: Sequence[Assistant] = ()) -> None:
        self._lead = lead
        self._assistants = tuple(assistants)
        self.missing: Counter[str] = Counter()
        """Assistants that could not be made."""

    def install(self) -> None:
        self._lead.install()

    def block(self, address: Address, seconds: float) -> float:
        got = self._lead.block(address, seconds)
        self._tell({address: got})
        return got

    def reblock(self, address: Address, seconds: float) -> float:
        got = self._lead.reblock(address, seconds)
        self._tell({address: got})
        return got

    def block_many(self, wanted: Mapping[Address, float]) -> None:
        self._lead.block_many(wanted)
        self._tell(wanted)

    def unblock(self, address: Address) -> bool:
        present = self._lead.unblock(address)
        self._tell({address: None})
        return present

    def blocked(self) -> dict[Address, float]:
        return self._lead.blocked()

    def remaining(self, address: Address) -> float | None:
        left = self._lead.remaining(address)
        if not left:
            self._tell({address: None})
        return left

    def changed(self) -> bool:
        return self._lead.changed()

    def counters(self) -> dict[str, Traffic]:
        return self._lead.counters()

    def verify(self) -> bool:
        return self._lead.verify()

    def prove(self) -> str:
        return self._lead.prove()

    def reconcile(self, wanted: Mapping[Address, float]) -> Drift:
        drift = self._lead.reconcile(wanted)
        if drift.restored:
            self._tell({address: wanted[address] for address in drift.restored})
        return drift

    def catch_up(self, wanted: Mapping[Address, float]) -> None:
        """After a start: what is in force since before is new to the assistants."""
        self._tell(wanted)

    def remove(self) -> None:
        blocked = self._lead.blocked() if self._assistants else {}
        self._lead.remove()
        self._tell(dict.fromkeys(blocked))

    def close(self) -> None:
        for assistant in self._assistants:
            assistant.close()
        self._lead.close()

    def health(self) -> dict[str, int]:
        """``responder.NAME.orders``, ``.errors``, ``.waiting``, ``.missing`` of the assistants."""
        out = {f"responder.{name}.missing": count for name, count in self.missing.items()}
        for assistant in self._assistants:
            out[f"responder.{assistant.name}.waiting"] = assistant.waiting
            for name, count in assistant.counters.items():
                out[f"responder.{assistant.name}.{name}"] = count
        return out

    def _tell(self, wanted: Mapping[Address, float | None]) -> None:
        for assistant in self._assistants:
            for address, seconds in wanted.items():
                assistant.order(address, seconds)


def make_team(names: Sequence[str], options: ResponderOptions) -> Team:
    """The responders of honeynet.toml, the first one leading.

    Raises: FirewallError if the lead can't be made; an assistant that can't is left out and told.
    """
    assistants: list[Assistant] = []
    missing: Counter[str] = Counter()
    lead = _make(names[0], options)
    for name in names[1:]:
        try:
            assistants.append(Assistant(name, _make(name, options)))
        except FirewallError as e:
            missing[name] += 1
            logger.error("left out: %s", e)
    firewall: Firewall = lead if isinstance(lead, Firewall) else Adapted(names[0], lead)
    team = Team(firewall, assistants)
    team.missing = missing
    return team


def _make(name: str, options: ResponderOptions) -> Responder:
    try:
        made: Responder = plugins.load(plugins.RESPONDERS, name)(options)
    except (Exception, SystemExit) as e:
        raise FirewallError(f"responder {name!r}: {e}") from e
    lacking = [
        m for m in ("install", "block", "unblock", "blocked", "close") if not hasattr(made, m)
    ]
    if lacking:
        raise FirewallError(f"responder {name!r} has no {', '.join(lacking)}")
    return made
