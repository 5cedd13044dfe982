"""ASGI guard in front of the console: known hosts only, small bodies only, strict headers.

Pure ASGI, because Starlette's BaseHTTPMiddleware can hold back an event stream.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 64 * 1024
"""Bytes of the largest request."""

CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # One policy of ours, for the URL of the shared worker; no string ever becomes a script.
        "require-trusted-types-for 'script'",
        "trusted-types ontoidps",
    )
)
HEADERS = (
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def host_name(value: str) -> str | None:
    """The name in a Host header, without the port; None if it is none."""
    try:
        return urlsplit(f"//{value}").hostname
    except ValueError:
        return None


class Guard:
    """Refuses what doesn't belong here before any of our code sees it.

    Args:
        any_host: True behind a reverse proxy (unix socket), which has checked the host. Else a
            foreign Host header is refused: it is how DNS rebinding reaches a loopback server.
    """

    def __init__(self, app: ASGIApp, *, any_host: bool) -> None:
        self._app = app
        self._any_host = any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in HEADERS}
                kept = [(n, v) for n, v in message.get("headers", ()) if n.lower() not in own]
                message = {**message, "headers": [*kept, *HEADERS]}
            await send(message)

        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or (not self._any_host and host_name(hosts[0]) not in LOOPBACK):
            await _refuse(421, "unknown host", scope, receive, guarded_send)
            return
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            await _refuse(
                413, f"a request has at most {MAX_BODY} bytes", scope, receive, guarded_send
            )
            return
        if "transfer-encoding" in headers:
            # All our requests are small and have a length; a stream of unknown size has no use.
            await _refuse(411, "a request needs a Content-Length", scope, receive, guarded_send)
            return
        await self._app(scope, receive, guarded_send)


async def _refuse(status: int, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"detail": detail}, status)(scope, receive, send)
