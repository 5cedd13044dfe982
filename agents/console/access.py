"""Who is asking: a person with a session cookie and its CSRF token, or the command line at the
operator's socket, where the kernel has said whose process it is."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, HTTPException, Request

from agents.console.console import Console
from agents.console.http_connections import OPERATOR, TRUST
from agents.console.login_limit import LoginLimit
from agents.console.sessions import Credentials, Session, Sessions, UserRole

COOKIE = "ontoidps"
CLI_USER = "cli"


@dataclass(slots=True)
class Gate:
    """What the routes need of the application; kept as ``app.state.gate``."""

    console: Console
    credentials: Credentials
    sessions: Sessions
    logins: LoginLimit
    behind_proxy: bool
    """Listening on a unix socket: who asks isn't known to be on this host."""


@dataclass(frozen=True, slots=True)
class Identity:
    """An authenticated caller."""

    user: str
    role: UserRole
    csrf: str
    """Empty for the command line: no foreign page reaches its socket."""
    session: str
    """Id of the session; empty for the command line."""


def gate_of(request: Request) -> Gate:
    """The application's gate."""
    return cast(Gate, request.app.state.gate)


def session_alive(gate: Gate, session: Session | Identity, session_id: str) -> bool:
    """Whether a session stands and its user still has the role it was made with."""
    if not gate.sessions.alive(session_id, gate.console.steady()):
        return False
    if gate.credentials.users.role(session.user) != session.role:
        gate.sessions.drop(session_id)
        gate.console.hub.close(session_id)
        return False
    return True


def session_of(request: Request, *, touch: bool = True) -> Session | None:
    """The live session of a request's cookie."""
    gate = gate_of(request)
    cookie = request.cookies.get(COOKIE, "")
    session = gate.sessions.get(cookie, gate.console.steady(), touch=touch) if cookie else None
    if session is None or not session_alive(gate, session, session.id):
        return None
    trust(request)
    return session


def trust(request: Request) -> None:
    """Its connection is one of somebody who is logged in."""
    if note := request.scope.get(TRUST):
        note()


def by_command_line(request: Request) -> bool:
    """Whether it came over the operator's socket, from somebody who can read the token.

    Both: where all agents are one user, the kernel can't tell them from an operator, and only
    Landlock keeps the token's file from them. At the page's port no token opens anything.
    """
    if not request.scope.get(OPERATOR):
        return False
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    ours = gate_of(request).credentials.token
    return scheme == "Bearer" and hmac.compare_digest(token.strip().encode(), ours.encode())


def viewer(request: Request) -> Identity:
    """Anybody who has logged in. Raises: HTTPException 401"""
    if by_command_line(request):
        return Identity(CLI_USER, "operator", "", "")
    session = session_of(request)
    if session is None:
        raise HTTPException(401, "log in")
    return Identity(session.user, session.role, session.csrf, session.id)


def same_origin(request: Request) -> bool:
    """Whether a state-changing request comes from our own page."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is None:
        # Every browser in use sends Origin with a POST; what doesn't can't be told apart.
        return False
    return origin in (f"http://{host}", f"https://{host}")


def writer(request: Request, caller: Annotated[Identity, Depends(viewer)]) -> Identity:
    """A caller whose own page (or CLI) really sent this request. Raises: HTTPException 403"""
    if caller.session:
        sent = request.headers.get("x-csrf-token", "")
        if not same_origin(request):
            raise HTTPException(403, "this request comes from another page")
        if not hmac.compare_digest(sent.encode(), caller.csrf.encode()):
            raise HTTPException(403, "the CSRF token is missing or wrong")
    return caller


def operator(caller: Annotated[Identity, Depends(writer)]) -> Identity:
    """A `writer` in role operator. Raises: HTTPException 403"""
    if caller.role != "operator":
        raise HTTPException(403, "only an operator may do this")
    return caller


Viewer = Annotated[Identity, Depends(viewer)]
Writer = Annotated[Identity, Depends(writer)]
Operator = Annotated[Identity, Depends(operator)]
