"""What the page's routes work with: one object, made by the agent (`agent.py`)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from uuid import uuid4

from agents.console.asking import Ask, Tell
from agents.console.ban_requests import BanRequests
from agents.console.clusters import ClusterNames
from agents.console.doubts import doubted, doubts_about
from agents.console.event_stream import Hub
from agents.console.evidence import Evidence
from agents.console.feed_intake import Intake, News
from agents.console.foreign_managers import ForeignManagers
from agents.console.knowledge import Knowledge
from agents.console.message_monitor import MessageMonitor
from agents.console.store import ReadStore
from agents.console.views import AgentView, BlockView, agent_view
from agents.settings.honeynet import Settings
from ontology.oversight import USER_PREFIX, AuditLine
from ontology.records import Record


class Console:
    """Reads come from the store, actions go to other agents. Coroutines run in the agent's loop.

    Args:
        clock: epoch microseconds.
        steady: microseconds on a clock that only runs, for sessions.
        ask: asks another agent.
        tell: informs the supervisor.
        heard: when the supervisor was last heard of, epoch microseconds; 0: not yet.
        pass_on: informs an analyzer of alerts; None where the honeynet has none.
    """

    def __init__(
        self,
        settings: Settings,
        store: ReadStore,
        *,
        clock: Callable[[], int],
        ask: Ask,
        tell: Tell,
        steady: Callable[[], int] | None = None,
        heard: Callable[[], int] | None = None,
        counters: Counter[str] | None = None,
        pass_on: Tell | None = None,
    ) -> None:
        self.settings, self.store, self.clock = settings, store, clock
        self.steady = steady or clock
        self.counters = Counter[str]() if counters is None else counters
        self.heard = heard or clock
        self.hub = Hub(clock, self.heard)
        self.intake = Intake(store)
        self.bans = BanRequests(ask, self.intake, self._publish)
        self.clusters = ClusterNames(ask)
        self.knowledge = Knowledge(ask)
        self.evidence = Evidence(ask, settings)
        self.messages = MessageMonitor(settings)
        self.foreign = ForeignManagers(
            settings.manager,
            sensor=next(iter(settings.jids("console")), "console"),
            pass_on=pass_on,
            clock=clock,
            steady=self.steady,
            counters=self.counters,
        )
        self.gateways = tuple(sorted(n for role, n in settings.agents() if role == "reaction"))
        self._tell = tell

    # ---- from other agents

    async def on_feed(self, records: tuple[Record, ...]) -> None:
        """A message of the supervisor's feed. Raises: ValueError if it is none."""
        self._publish(await asyncio.to_thread(self.intake.take, records))

    def on_clusters(self, records: Sequence[Record]) -> None:
        """The ontology agent announces how clusters are called."""
        for view in self.clusters.on_announcement(records):
            self.hub.publish("clusters", str(view.number), view)

    def _publish(self, news: News) -> None:
        if news.anew:
            self.hub.anew()
        for topic, key, view in news.changed:
            self.hub.publish(topic, key, view)

    # ---- for the page

    def agents(self) -> list[AgentView]:
        """Every agent of the honeynet file, registered or not, in its order. Blocks."""
        known = {view.name: view for view in self.store.agents()}
        return [
            known.get(self.settings.jid(role, node))
            or agent_view(self.settings.jid(role, node), role, node)
            for role, node in self.settings.agents()
        ]

    def doubts(self) -> dict[str, str]:
        """Gateways whose last word about blocks may not hold any more, and why. Blocks."""
        return doubts_about(self.agents())

    def known(self, block: BlockView) -> BlockView:
        """What is known of it now. Blocks."""
        return doubted(block, self.doubts())

    async def note(self, user: str, act: str, reason: str = "") -> None:
        """Have the supervisor write into the audit trail what a person did here."""
        line = AuditLine(
            id=uuid4().urn,
            line_number=0,
            audited_us=self.clock(),
            actor=USER_PREFIX + user,
            act=act,
            subject=user,
            reason=reason,
            line_hash="",
        )
        try:
            await self._tell([line])
        except ValueError:
            # A name that no fragment can hold is nobody's: somebody tries things out.
            self.counters["notes_unwritten"] += 1
