"""Who acts: six agents, their message layer and their launcher.

Importing this package puts an empty stand-in for pyjabber into `sys.modules`. SPADE's container
imports that bundled test server at module level, in every agent process; it costs 38 MB and pulls
in SQLAlchemy, and it lets senders forge their address and loses messages. Standing first in the
import order, this file makes sure that it can't be loaded, let alone started.
"""

import sys
from types import ModuleType
from typing import NoReturn


def _unavailable(*_arguments: object, **_options: object) -> NoReturn:
    raise RuntimeError("SPADE's bundled server is never used; start agents.xmpp_server instead")


def _stand_in() -> None:
    package, server, parameters = (
        ModuleType(name) for name in ("pyjabber", "pyjabber.server", "pyjabber.server_parameters")
    )
    package.__path__ = []
    server.Server = _unavailable  # type: ignore[attr-defined]
    parameters.Parameters = _unavailable  # type: ignore[attr-defined]
    for module in (package, server, parameters):
        sys.modules.setdefault(module.__name__, module)


_stand_in()
