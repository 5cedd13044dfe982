"""A small client of the console's REST API, for the command line. Synchronous."""

from __future__ import annotations

import json
from ipaddress import ip_address
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote

import httpx

from agents.base.conditions import UNSURE
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


class ConsoleClient:
    """Calls with the token of ``state_dir/console-token``. Use it in a ``with`` statement.

    Raises: ConsoleError, from the constructor too when there is no token to read.
    """

    def __init__(self, settings: Settings) -> None:
        listen = settings.console.listen
        token = _read_token(settings)
        transport, base = None, f"http://{listen}"
        if listen.startswith("unix:"):
            transport = httpx.HTTPTransport(uds=listen.removeprefix("unix:"))
            base = "http://localhost"
        self._listen = listen
        # trust_env=False: a proxy meant for the web must not get the token.
        self._http = httpx.Client(
            base_url=f"{base}/api/v1/",
            transport=transport,
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        )

    def __enter__(self) -> ConsoleClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def blocks(
        self,
        *,
        state: str = "active",
        source: str | None = None,
        gateway: str | None = None,
        limit: int = 1000,
    ) -> Blocks:
        """Blocks, newest first. ``state``: active, ended, lifted, expired or all; ``limit``: 0 for
        all of them."""
        query = {"state": state, "source": source, "gateway": gateway}
        params: dict[str, str | int] = {k: v for k, v in query.items() if v is not None}
        found = Blocks()
        while True:
            room = PAGE if not limit else min(PAGE, limit - len(found))
            params |= {"limit": room, "offset": len(found)}
            answer = self._request("GET", "blocks", params=params)
            part = cast(list[Json], answer.json())
            found += part
            found.total = max(len(found), int(answer.headers.get("X-Total-Count", 0)))
            if len(part) < room or len(found) == limit:
                return found

    def block(self, block_id: str) -> Json:
        """One block with its explanation: block, decisions, incidents, alerts, audit."""
        return cast(Json, self._call("GET", f"blocks/{quote(block_id, safe='')}"))

    def add(self, source: str, *, duration_s: int | None = None, reason: str) -> Json:
        """Block an address; returns the block."""
        body = {"source": source, "duration_s": duration_s, "reason": reason}
        return cast(Json, self._call("POST", "blocks", body=body))

    def lift(self, which: str, *, reason: str) -> Json:
        """End a block, named by its id or its address."""
        path = f"blocks/{self.resolve(which)}/lift"
        return cast(Json, self._call("POST", path, body={"reason": reason}))

    def extend(self, which: str, *, seconds: int, reason: str) -> Json:
        """Make a block, named by its id or its address, end later."""
        body = {"seconds": seconds, "reason": reason}
        return cast(Json, self._call("POST", f"blocks/{self.resolve(which)}/extend", body=body))

    def agents(self) -> list[Json]:
        """The directory: every agent with state and health."""
        return cast(list[Json], self._call("GET", "agents"))

    def incidents(self, *, limit: int = 100) -> list[Json]:
        """Incidents, newest first."""
        return cast(list[Json], self._call("GET", "incidents", params={"limit": limit}))

    def alerts(self, *, limit: int = 100) -> list[Json]:
        """Alerts behind incidents, newest first."""
        return cast(list[Json], self._call("GET", "alerts", params={"limit": limit}))

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

    def me(self) -> Json:
        """Honeynet name, the console's clock, policy, gateways."""
        return cast(Json, self._call("GET", "me"))

    def resolve(self, which: str) -> str:
        """The id of a block that is named by id or by address."""
        try:
            address = ip_address(which)
        except ValueError:
            return quote(which, safe="")
        found = self.blocks(source=str(address), limit=1)
        if not found:
            raise ConsoleError(self._not_blocked(str(address)))
        return str(found[0]["id"])

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
        return self._request(method, path, params=params, body=body).json()

    def _request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        body: Json | None = None,
    ) -> httpx.Response:
        """A good answer, in JSON. Raises: ConsoleError."""
        try:
            answer = self._http.request(
                method,
                path,
                params=params,
                json=body,
                # Pellet looks at facts before they are in force.
                timeout=KNOWLEDGE_TIMEOUT_S if path.startswith("ontology/") else TIMEOUT_S,
            )
        except httpx.HTTPError as e:
            raise ConsoleError(f"no console answers on {self._listen} ({type(e).__name__})") from e
        try:
            content: object = answer.json()
        except (json.JSONDecodeError, UnicodeDecodeError) as e:
            raise ConsoleError(f"{self._listen} is not our console: no JSON") from e
        if answer.is_success:
            return answer
        detail = content.get("detail") if isinstance(content, dict) else None
        if answer.status_code == 401:
            detail = "the console doesn't know this token"
        raise ConsoleError(" ".join(str(detail or f"error {answer.status_code}").split()))


def _read_token(settings: Settings) -> str:
    path = settings.state_dir / "console-token"
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as e:
        node = next((node for role, node in settings.agents() if role == "console"), None)
        if node is None:
            raise ConsoleError("no node of this honeynet runs a console agent") from e
        raise ConsoleError(
            f"{path}: {e.strerror}; the console makes it at its first start, on the host of "
            f"node {node!r}: ask there"
        ) from e
