"""Who acts: seven agents, their message layer and their launcher.

Importing this package puts stand-ins into `sys.modules` for what SPADE imports at module level and
no agent may or need ever use; standing first in the import order, they can't be loaded, let alone
started. Together they cost 50 MB in each of a honeynet's processes.

- pyjabber, the bundled test server: it lets senders forge their address and loses messages.
- ``spade.web``, the built-in web page: anybody who reaches it may stop the agent.
- aiohttp, which only that page and SPADE's HTTP behaviours need.
"""

import sys
from types import ModuleType
from typing import NoReturn


def _unavailable(*_arguments: object, **_options: object) -> NoReturn:
    raise RuntimeError(
        "SPADE's bundled server is never used; start agents.launcher.xmpp_server instead"
    )


class _NoWeb:
    """What an agent holds in place of SPADE's web page."""

    def __init__(self, agent: object) -> None:
        pass

    def is_started(self) -> bool:
        return False

    def start(self, *_arguments: object, **_options: object) -> NoReturn:
        raise RuntimeError("SPADE's web page has no login; the console is agents.supervisor's")


def _stand_in() -> None:
    package, server, parameters, web, http = (
        ModuleType(name)
        for name in (
            "pyjabber",
            "pyjabber.server",
            "pyjabber.server_parameters",
            "spade.web",
            "aiohttp",
        )
    )
    package.__path__ = []
    server.Server = _unavailable  # type: ignore[attr-defined]
    parameters.Parameters = _unavailable  # type: ignore[attr-defined]
    web.WebApp = _NoWeb  # type: ignore[attr-defined]
    http.ClientSession = _unavailable  # type: ignore[attr-defined]
    http.ClientError = ConnectionError  # type: ignore[attr-defined]
    for module in (package, server, parameters, web, http):
        sys.modules.setdefault(module.__name__, module)


_stand_in()
