"""Run in a node's network namespace: enters as an agent does, then tries to order a block.

``python hostile_code.py FILE ROLE [worker]`` prints a JSON object: what became of each try. With
``worker`` it gives up what that agent's worker (Pellet) gives up as well.
"""

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

from agents.base import AgentContext, confinement
from agents.base.local import connect_to, socket_path
from agents.clock import now_us
from agents.messages.acl import AclMessage, to_frame
from agents.reaction.netlink import Change, NetlinkSocket
from agents.settings.honeynet import load_settings
from agents.trust.identity import load_identity
from agents.trust.signing import sign
from ontology.confined_worker import confine_worker
from ontology.fragments import encode
from ontology.records import Decision, Role

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


def main(file: Path, role: Role, *, worker: bool) -> dict[str, Any]:
    settings = load_settings(file)
    # The page's own port is taken.
    console = settings.console.model_copy(update={"listen": "127.0.0.1:0"})
    settings = settings.model_copy(update={"console": console})
    context = AgentContext(settings=settings, role=role, node="gw1")
    agent_type = getattr(import_module(f"agents.{role}.agent"), f"{role.capitalize()}Agent")
    taken = agent_type.take(context)
    confinement.enter(context, agent_type.needs(context))
    identity = load_identity(settings, role, "gw1")
    if worker:
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
            link.sendall(to_frame(sign(message, identity.key, now_us())))
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

    tries = {
        "order in its own name": lambda: order(settings.jid(role, "gw1")),
        "order in the supervisor's name": lambda: order(settings.jid("supervisor", "gw1")),
        "order in correlation's name": lambda: order(settings.jid("correlation", "gw1")),
        "write a rule": rule,
        "flush the rules": program,
        "read the key of reaction": key,
        "change the outbox": outbox,
        "kill": kill,
    }
    became = {}
    for what, do in tries.items():
        try:
            became[what] = do()
        except OSError as e:
            became[what] = e.strerror or str(e)
    del taken
    return became


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), cast(Role, sys.argv[2]), worker="worker" in sys.argv)))
