"""The operator's socket, for clients that ask the application without a network."""

from __future__ import annotations

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from agents.console.http_connections import OPERATOR


def at_the_socket(app: ASGIApp) -> ASGIApp:
    """As the application is asked there."""

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, OPERATOR: True}, receive, send)

    return asked


def go_to_the_socket(client: httpx.AsyncClient, token: str) -> None:
    """From now on the client asks there, with this token."""
    client.headers["Authorization"] = f"Bearer {token}"
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    transport.app = at_the_socket(transport.app)
