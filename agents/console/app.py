"""The console's FastAPI application: page, login, health, metrics, and REST from `api`."""

from __future__ import annotations

import asyncio
from importlib.resources import files
from ipaddress import ip_address
from urllib.parse import parse_qs

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse
from starlette.responses import Response

from agents.console import api_clusters, api_evidence, api_idmef, api_messages, api_ontology
from agents.console.access import (
    COOKIE,
    Gate,
    by_command_line,
    gate_of,
    same_origin,
    session_of,
    trust,
)
from agents.console.action_errors import ActionError
from agents.console.api import router
from agents.console.console import Console
from agents.console.exposition import CONTENT_TYPE, exposition
from agents.console.guard import LOOPBACK, Guard
from agents.console.login_limit import LoginLimit
from agents.console.sessions import Credentials, Sessions

_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_STATUS = {
    "unknown": 404,
    "ended": 409,
    "refused": 422,
    "unanswered": 503,
    "supervisor silent": 504,
}
_MESSAGE = "<!-- message -->"
_MAX_NAME = 64


def create_app(
    console: Console, credentials: Credentials, *, behind_proxy: bool = False
) -> FastAPI:
    """The whole console.

    Args:
        behind_proxy: it listens on a unix socket, so that host names and TLS are the business of
            the reverse proxy in front of it.
    """
    # No /docs and no /redoc: both load scripts from elsewhere.
    app = FastAPI(
        title="OntoIDPS console",
        version="1",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.gate = Gate(console, credentials, Sessions(), LoginLimit(), behind_proxy)
    app.add_middleware(Guard, any_host=behind_proxy)
    app.include_router(router)
    app.include_router(api_clusters.router)
    app.include_router(api_evidence.router)
    app.include_router(api_idmef.router)
    app.include_router(api_messages.router)
    app.include_router(api_ontology.router)
    app.add_exception_handler(ActionError, _action_error)
    app.add_exception_handler(RequestValidationError, _invalid)

    static = {
        entry.name: entry.read_bytes()
        for entry in files("agents.console").joinpath("static").iterdir()
    }
    page, login_page = static.pop("index.html"), static.pop("login.html").decode()
    # One at a time, in a thread: each takes 16 MiB and 50 ms of a processor.
    hashing = asyncio.Lock()

    @app.get("/static/{name}", include_in_schema=False)
    async def get_static(name: str) -> Response:
        if name not in static:
            raise HTTPException(404, "there is no such file")
        kind = _TYPES[name.rpartition(".")[2]]
        return Response(static[name], media_type=kind, headers={"Cache-Control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def get_page(request: Request) -> Response:
        if session_of(request) is None:
            return RedirectResponse("/login", 303)
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    def login_answer(message: str, status: int, wait_s: int = 0) -> Response:
        # ``message`` is one of the fixed texts below, never something that was sent to us.
        alert = f'<p class="alert" role="alert">{message}</p>' if message else ""
        headers = {"Cache-Control": "no-store"}
        if wait_s:
            headers["Retry-After"] = str(wait_s)
        return HTMLResponse(login_page.replace(_MESSAGE, alert), status, headers)

    @app.get("/login", include_in_schema=False)
    async def get_login() -> Response:
        return login_answer("", 200)

    @app.post("/login", include_in_schema=False)
    async def post_login(request: Request) -> Response:
        gate = gate_of(request)
        now_us, address = console.steady(), _address(request, behind_proxy=behind_proxy)
        if not same_origin(request):
            return login_answer("This form was sent from another page.", 403)
        try:
            form = parse_qs((await request.body()).decode(), strict_parsing=True, max_num_fields=8)
            name, password = form["user"][0], form["password"][0]
        except (ValueError, KeyError):
            return login_answer("Give a user name and a password.", 400)
        if len(name) > _MAX_NAME:
            return login_answer("Wrong user name or password.", 401)
        wait_s = gate.logins.wait_s(address, name, now_us)
        if wait_s:
            console.counters["logins_put_off"] += 1
            return login_answer("Too many failed logins. Wait a minute.", 429, wait_s)
        role = None
        gate.logins.begins(address, name, now_us)
        try:
            async with hashing:
                role = await asyncio.to_thread(credentials.users.check, name, password)
        finally:
            gate.logins.ends(address, name, right=role is not None)
        if role is None:
            console.counters["logins_failed"] += 1
            await console.note(name, "login failed")
            return login_answer("Wrong user name or password.", 401)
        trust(request)
        cookie, _ = gate.sessions.create(name, role, now_us)
        await console.note(name, "login", f"as {role}")
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            cookie,
            httponly=True,
            samesite="strict",
            secure=request.headers.get("origin", "").startswith("https:"),
        )
        return answer

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        await asyncio.to_thread(console.store.counts)
        return PlainTextResponse("ok\n")

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        client = request.client.host if request.client else ""
        if not by_command_line(request) and (behind_proxy or client not in LOOPBACK):
            raise HTTPException(403, "metrics are for this host: ask at the operator's socket")
        gauges = {"viewers": console.hub.viewers, "heard_us": console.heard()}
        counters = {**console.counters, "resyncs": console.hub.resyncs}

        def read() -> bytes:
            return exposition(console.store.counts(), console.agents(), counters, gauges)

        return Response(await asyncio.to_thread(read), media_type=CONTENT_TYPE)

    return app


def _address(request: Request, *, behind_proxy: bool) -> str:
    """Who asks, as far as anybody knows: behind a reverse proxy on this host, whom it names last.

    Only who may open the proxy's socket (mode 0660) can name somebody else.
    """
    if not behind_proxy:
        return request.client.host if request.client else ""
    named = request.headers.getlist("x-forwarded-for")
    try:
        return str(ip_address(named[-1].rpartition(",")[2].strip())) if named else ""
    except ValueError:
        return ""


def _action_error(request: Request, error: Exception) -> Response:
    kind = error.kind if isinstance(error, ActionError) else "refused"
    return JSONResponse({"detail": str(error)}, _STATUS[kind])


def _invalid(request: Request, error: Exception) -> Response:
    """One line for the first thing that is wrong; what was sent is not sent back."""
    errors = error.errors() if isinstance(error, RequestValidationError) else []
    first = errors[0] if errors else {"loc": (), "msg": "invalid"}
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    message = str(first["msg"]).removeprefix("Value error, ")
    return JSONResponse({"detail": f"{where}: {message}" if where else message}, 422)
