"""A small client of the console's REST API, for the command line. Synchronous."""

from __future__ import annotations

import json
from ipaddress import ip_address
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote

import httpx

from agents.settings.honeynet import Settings

TIMEOUT_S = 10.0
KNOWLEDGE_TIMEOUT_S = 40.0
Json = dict[str, Any]


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
    ) -> list[Json]:
        """Blocks, newest first. ``state``: active, ended, lifted, expired or all."""
        query = {"state": state, "source": source, "gateway": gateway, "limit": limit}
        params = {k: v for k, v in query.items() if v is not None}
        return cast(list[Json], self._call("GET", "blocks", params=params))

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
            raise ConsoleError(f"{address} is not blocked")
        return str(found[0]["id"])

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str | int] | None = None,
        body: Json | None = None,
    ) -> object:
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
            return content
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
