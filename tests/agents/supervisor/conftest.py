"""A supervisor without messages: real ledger and directory; orders are kept in a list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents.settings.honeynet import Settings
from agents.supervisor.ledger import Ledger
from agents.supervisor.operations import Operations
from tests.agents import factories
from tests.agents.factories import Clock, Post, make_settings


@pytest.fixture
def kit() -> SimpleNamespace:
    """The makers, for test modules."""
    return SimpleNamespace(**vars(factories))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.sqlite3")
    yield opened
    opened.close()


@pytest.fixture
def operations(settings: Settings, ledger: Ledger, clock: Clock, post: Post) -> Operations:
    return Operations(settings, ledger, clock=clock, send=post.send, archive=post.archive)
