"""A small client of the console's REST API, for the command line, over the operator's socket.
Synchronous."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPMessage
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote, urlencode

from agents.base.conditions import UNSURE
from agents.base.local import reachable_name
from agents.console.operator_socket import console_node, operator_socket
from agents.settings.honeynet import Settings

TIMEOUT_S = 10.0
KNOWLEDGE_TIMEOUT_S = 40.0
PAGE = 5000
"""Blocks asked for at once."""
HEARD_US = 14_000_000
"""The supervisor answers the console every 5 s."""
Json = dict[str, Any]


class Blocks(list[Json]):
    """A list of blocks, perhaps a part of what there is."""

    total: int = 0
    """How many there are."""


class ConsoleError(RuntimeError):
    """The console can't be asked, or the supervisor refuses; the message is one line."""


class _Connection(HTTPConnection):
    """HTTP over the operator's socket."""

    def __init__(self, path: Path, limit_s: float) -> None:
        super().__init__("localhost", timeout=limit_s)
        self._path = path

    def connect(self) -> None:
        """Raises: OSError"""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(self.timeout)
            with reachable_name(self._path) as name:
                made.connect(name)
        except OSError:
            made.close()
            raise
        self.sock = made


class ConsoleClient:
    """Asks the console of this host; no two calls share a connection. Use it in a ``with``
    statement.

    Raises: ConsoleError, from the constructor too when there is no token to read.
    """

    def __init__(self, settings: Settings) -> None:
        node = console_node(settings)
        if node is None:
            raise ConsoleError("no node of this honeynet runs a console agent")
        self._path = operator_socket(settings, node)
        self._hint = f"the console listens there on the host of node {node!r}: ask there (ssh)"
        token = settings.state_dir / "console-token"
        try:
            self._token = token.read_text(encoding="utf-8").strip()
        except OSError as e:
            raise ConsoleError(f"{token}: {e.strerror}; {self._hint}") from e

    def __enter__(self) -> ConsoleClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """There is nothing to close."""

    def blocks(
        self,
        *,
        state: str = "active",
        source: str | None = None,
        gateway: str | None = None,
        limit: int = 1000,
    ) -> Blocks:
        """Blocks, newest first. ``state``: as `agents.console.api.ListState`; ``limit``: 0 for
        all of them."""
        query = {"state": state, "source": source, "gateway": gateway}
        params: dict[str, str | int] = {k: v for k, v in query.items() if v is not None}
        found = Blocks()
        while True:
            room = PAGE if not limit else min(PAGE, limit - len(found))
            params |= {"limit": room, "offset": len(found)}
            content, headers = self._request("GET", "blocks", params=params)
            part = cast(list[Json], content)
            found += part
            found.total = max(len(found), int(headers.get("X-Total-Count", "0")))
            if len(part) < room or len(found) == limit:
                return found

    def block(self, block_id: str) -> Json:
        """One block with its explanation: block, decisions, incidents, alerts, audit."""
        return cast(Json, self._call("GET", f"blocks/{quote(block_id, safe='')}"))

    def add(self, source: str, *, duration_s: int | None = None, reason: str) -> Json:
        """Block an address; returns the block."""
        body = {"source": source, "duration_s": duration_s, "reason": reason}
        return cast(Json, self._call("POST", "blocks", body=body))

    def lift(self, which: str, *, reason: str, grace_s: int | None = None) -> Json:
        """End a block, named by its id or its address."""
        return self.decide("lift", which, reason=reason, grace_s=grace_s)

    def extend(self, which: str, *, seconds: int, reason: str) -> Json:
        """Make a block, named by its id or its address, end later."""
        body = {"seconds": seconds, "reason": reason}
        return cast(Json, self._call("POST", f"blocks/{self.resolve(which)}/extend", body=body))

    def shorten(self, which: str, *, seconds: int, reason: str) -> Json:
        """Make a block, named by its id or its address, end earlier."""
        body = {"seconds": seconds, "reason": reason}
        return cast(Json, self._call("POST", f"blocks/{self.resolve(which)}/shorten", body=body))

    def decide(self, word: str, which: str, *, reason: str, grace_s: int | None = None) -> Json:
        """``lift`` a block, ``approve`` or ``veto`` one that waits for a person."""
        body: Json = {"reason": reason}
        if grace_s is not None:
            body["grace_s"] = grace_s
        return cast(Json, self._call("POST", f"blocks/{self.resolve(which)}/{word}", body=body))

    def undo(self, *, reason: str) -> Json:
        """Take back the last thing that was done here about a block."""
        return cast(Json, self._call("POST", "undo", body={"reason": reason}))

    def agents(self) -> list[Json]:
        """The directory: every agent with state and health."""
        return cast(list[Json], self._call("GET", "agents"))

    def incidents(self, *, limit: int = 100) -> list[Json]:
        """Incidents, newest first."""
        return cast(list[Json], self._call("GET", "incidents", params={"limit": limit}))

    def alerts(self, *, limit: int = 100) -> list[Json]:
        """Alerts behind incidents, newest first."""
        return cast(list[Json], self._call("GET", "alerts", params={"limit": limit}))

    def idmef(self, *, limit: int = 100) -> list[Json]:
        """Alerts behind incidents as IDMEFv2 documents, newest first; ``limit``: at most 1000."""
        return cast(list[Json], self._call("GET", "idmef", params={"limit": limit}))

    def alert(self, alert_id: str) -> Json:
        """One alert and when the supervisor heard of it."""
        return cast(Json, self._call("GET", f"alerts/{quote(alert_id, safe='')}"))

    def evidence(self, alert_id: str) -> Json:
        """The packet that an alert rests on, dissected; ``packets`` is 0 if none is kept."""
        return cast(Json, self._call("GET", f"alerts/{quote(alert_id, safe='')}/evidence"))

    def capture(self, alert_id: str) -> bytes:
        """The conversation around that packet as a pcap file."""
        return self._fetch("GET", f"alerts/{quote(alert_id, safe='')}/capture")[0]

    def audit(self, *, limit: int = 100) -> Json:
        """The audit trail, newest first, and the hash of its newest line."""
        return cast(Json, self._call("GET", "audit", params={"limit": limit}))

    def query(self, sparql: str) -> Json:
        """SPARQL 1.1 results in JSON, with ``truncated``."""
        return cast(Json, self._call("POST", "ontology/query", body={"sparql": sparql}))

    def facts(self, action: str, fragment: str, *, reason: str) -> Json:
        """Assert or retract facts in Turtle; ``detail`` says what is in force then."""
        body = {"action": action, "fragment": fragment, "reason": reason}
        return cast(Json, self._call("POST", "ontology/facts", body=body))

    def rules(self) -> list[Json]:
        """Every rule, on or off, by label."""
        return cast(list[Json], cast(Json, self._call("GET", "ontology/rules"))["rules"])

    def switch_rule(self, label: str, *, enabled: bool, reason: str) -> Json:
        """Switch a rule on or off; ``detail`` says what is in force then."""
        body = {"enabled": enabled, "reason": reason}
        return cast(Json, self._call("POST", f"ontology/rules/{quote(label, safe='')}", body=body))

    def me(self) -> Json:
        """Honeynet name, the console's clock, policy, gateways."""
        return cast(Json, self._call("GET", "me"))

    def resolve(self, which: str) -> str:
        """The id of a block that is named by id or by address."""
        try:
            address = ip_address(which)
        except ValueError:
            return quote(which, safe="")
        for state in ("active", "waiting", "shadow"):
            if found := self.blocks(state=state, source=str(address), limit=1):
                return str(found[0]["id"])
        raise ConsoleError(self._not_blocked(str(address)))

    def _not_blocked(self, address: str) -> str:
        """What is known of an address that nobody is asked to block: gateways may not have ended it
        yet, or not have been heard."""
        now_us = self.me()["now_us"]
        last = self.blocks(state="ended", source=address, limit=1)
        said = {g["gateway"]: g["state"] for block in last for g in block["gateways"]}
        words = [f"{address} is not to be blocked"]
        clear = []
        for agent in self.agents():
            if agent["role"] != "reaction":
                continue
            name, heard_s = agent["node"], max(0, now_us - agent["renewed_us"]) // 1_000_000
            unsure = any(held["name"] in UNSURE for held in agent["conditions"])
            if said.get(name) in ("active", "unknown"):
                words.append(f"{name} has not said that it no longer is")
            elif agent["state"] == "absent":
                words.append(
                    f"{name} has not been heard since the supervisor started: what it blocks is"
                    " not known"
                )
            elif agent["state"] == "silent" or unsure:
                why = "can't look at its rules" if unsure else f"has not been heard for {heard_s} s"
                words.append(f"{name} {why}: what it blocks is not known")
            else:
                clear.append(f"{name} (heard {heard_s} s ago)")
        if clear and len(words) == 1:
            return f"{address} is not blocked on {', '.join(clear)}"
        if clear:
            words.append(f"not blocked on {', '.join(clear)}")
        return "; ".join(words)

    def late(self) -> str:
        """Why what the console says may be out of date; empty if the supervisor was just heard."""
        me = self.me()
        silent_s = (me["now_us"] - me["heard_us"]) // 1_000_000
        if not me["heard_us"]:
            return "the supervisor has not been heard yet: this may be out of date"
        if silent_s * 1_000_000 > HEARD_US:
            return f"the supervisor has not been heard for {silent_s} s: this may be out of date"
        return ""

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        body: Json | None = None,
    ) -> object:
        """The answer's JSON."""
        return self._request(method, path, params=params, body=body)[0]

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        body: Json | None = None,
    ) -> tuple[object, HTTPMessage]:
        """A good answer's JSON and headers. Raises: ConsoleError."""
        text, headers = self._fetch(method, path, params=params, body=body)
        return self._read(text), headers

    def _read(self, text: bytes) -> object:
        try:
            content: object = json.loads(text)
        except (json.JSONDecodeError, UnicodeDecodeError) as e:
            raise ConsoleError(f"{self._path}: no console of ours: no JSON") from e
        return content

    def _fetch(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        body: Json | None = None,
    ) -> tuple[bytes, HTTPMessage]:
        """A good answer's body and headers. Raises: ConsoleError."""
        # Pellet looks at facts before they are in force, and scapy at packets.
        slow = path.startswith(("ontology/", "alerts/"))
        limit_s = KNOWLEDGE_TIMEOUT_S if slow else TIMEOUT_S
        query = f"?{urlencode(params)}" if params else ""
        try:
            with closing(_Connection(self._path, limit_s)) as connection:
                connection.request(
                    method,
                    f"/api/v1/{path}{query}",
                    body=None if body is None else json.dumps(body),
                    headers={
                        "Content-Type": "application/json",
                        "Authorization": f"Bearer {self._token}",
                    },
                )
                answer = connection.getresponse()
                text = answer.read()
        except FileNotFoundError as e:
            raise ConsoleError(f"{self._path}: {e.strerror}; {self._hint}") from e
        except (OSError, HTTPException) as e:
            what = f"no console answers ({type(e).__name__})"
            raise ConsoleError(f"{self._path}: {what}; {self._hint}") from e
        if 200 <= answer.status < 300:
            return text, answer.headers
        content = self._read(text)
        detail = content.get("detail") if isinstance(content, dict) else None
        if answer.status == 401:
            detail = "the console doesn't know this token"
        raise ConsoleError(" ".join(str(detail or f"error {answer.status}").split()))
