"""Run in a node's network namespace: hostile code in the place of an agent that has just ended.

``python hostile_code.py FILE ROLE [worker]`` enters as the agent does, with all that it knows: key,
links, sessions. It prints a JSON object: what became of each try. With ``worker`` it gives up what
that agent's worker (Pellet) gives up as well.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

from agents.base import AgentContext, BaseAgent, confinement, run_agent
from agents.base.confinement import Needs
from agents.base.local import connect_to, socket_path
from agents.clock import now_us
from agents.messages.acl import AclMessage, to_frame
from agents.reaction.netlink import Change, NetlinkSocket
from agents.settings.honeynet import Settings, load_settings
from agents.trust.identity import load_identity
from agents.trust.signing import Signer
from ontology.confined_worker import confine_worker
from ontology.fragments import encode
from ontology.records import Decision, Record, Role

ANSWER_S = 20.0
VICTIM = "192.0.2.99"


def decision(origin: str) -> Decision:
    return Decision(
        id=f"urn:uuid:00000000-0000-4000-8000-{os.getpid():012d}",
        action="block",
        source=ip_address(VICTIM),
        classification="Manual",
        origin=origin,
        decided_us=now_us(),
        duration_s=60,
        reason="hostile",
    )


def tries(settings: Settings, role: Role) -> dict[str, str]:
    """All but the order in the own name, for which it takes an agent."""
    identity = load_identity(settings, role, "gw1")
    signer = Signer(identity.key, wall_us=now_us(), steady_us=0)
    if WORKER:
        confine_worker()
    reaction = settings.jid("reaction", "gw1")
    socket = socket_path(settings, "reaction", "gw1")

    def order(sender: str) -> str:
        message = AclMessage(
            performative="request",
            sender=sender,
            receivers=(reaction,),
            content=encode([decision(sender)]),
            protocol="fipa-request",
            conversation_id=f"c-{os.getpid()}",
            reply_with=f"m-{sender}-{os.getpid()}",
        )
        with connect_to(socket, socket.stat().st_uid) as link:
            link.setblocking(True)
            link.sendall(to_frame(signer.sign(message, 0)))
            time.sleep(1.0)  # it is closed at once, or read and refused
        return "sent"

    def rule() -> str:
        with NetlinkSocket("ontoidps") as made:
            made.commit([Change("add", "block4", [ip_address(VICTIM).packed], [60_000])])
        return "done"

    def program() -> str:
        words = ["/usr/sbin/nft", "flush", "ruleset"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return "done" if done.returncode == 0 else "refused"

    def key() -> str:
        return str(len((settings.state_dir / "keys" / f"{reaction}.key").read_bytes()))

    def outbox() -> str:
        path = settings.state_dir / settings.jid(role, "gw1") / "mail.sqlite3"
        with path.open("r+b") as opened:
            return str(len(opened.read(1)))

    def kill() -> str:
        killed = 0
        for process in Path("/proc").glob("[0-9]*"):
            if int(process.name) not in (os.getpid(), os.getppid()):
                try:
                    os.kill(int(process.name), signal.SIGKILL)
                    killed += 1
                except OSError:
                    continue
        return str(killed)

    every = {
        "order in the supervisor's name": lambda: order(settings.jid("supervisor", "gw1")),
        "order in correlation's name": lambda: order(settings.jid("correlation", "gw1")),
        "write a rule": rule,
        "flush the rules": program,
        "read the key of reaction": key,
        "change the outbox": outbox,
        "kill": kill,
    }
    became = {}
    for what, do in every.items():
        try:
            became[what] = do()
        except OSError as e:
            became[what] = e.strerror or str(e)
    return became


class Hostile(BaseAgent[None]):
    """Says what an agent of this role never would."""

    real: Any

    def __init__(self, context: AgentContext) -> None:
        super().__init__(context)
        self._answered = asyncio.Event()
        self._answer = "none"

    @classmethod
    def needs(cls, context: AgentContext) -> Needs:
        return cast(Needs, cls.real.needs(context))

    @classmethod
    def take(cls, context: AgentContext) -> Any:
        return cls.real.take(context)

    async def on_start(self) -> None:
        self.spawn(self._act(), name="act")

    async def _act(self) -> None:
        try:
            await self.send(
                self.settings.jid("reaction", "gw1"),
                "request",
                [decision(self.jid)],
                protocol="fipa-request",
            )
            async with asyncio.timeout(ANSWER_S):
                await self._answered.wait()
        finally:
            became = {"order in its own name": self._answer}
            if self.role != "supervisor":
                became |= await asyncio.to_thread(tries, self.settings, self.role)
            print(json.dumps(became), flush=True)
            self.stop()

    async def on_message(self, message: AclMessage, records: tuple[Record, ...]) -> None:
        if message.sender == self.settings.jid("reaction", "gw1") and not records:
            self._answer = message.performative
            self._answered.set()

    async def on_refused(self, receiver: str, reply_with: str, reason: str) -> None:
        self._answer = f"refused: {reason.partition(':')[0]}"
        self._answered.set()


WORKER = "worker" in sys.argv


def main(file: Path, role: Role) -> int:
    settings = load_settings(file)
    context = AgentContext(settings=settings, role=role, node="gw1")
    agent_type = getattr(import_module(f"agents.{role}.agent"), f"{role.capitalize()}Agent")
    if WORKER:
        confinement.enter(context, agent_type.needs(context))
        print(json.dumps(tries(settings, role)))
        return 0
    Hostile.role, Hostile.real = role, agent_type
    return run_agent(Hostile, context, None)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), cast(Role, sys.argv[2])))
