"""How the launcher and its agents log."""

from __future__ import annotations

import logging
import sys

from agents.base.log_limits import LimitedHandler


def configure_logging(name: str, *, verbose: bool = False) -> None:
    """One line per event on stderr: time, agent, level, logger, message; of each kind so many
    (`agents.base.log_limits`)."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format=f"%(asctime)s {name} %(levelname)s %(name)s: %(message)s",
        handlers=[LimitedHandler(sys.stderr)],
        force=True,
    )
    for chatty in ("slixmpp", "spade", "asyncio", "httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
