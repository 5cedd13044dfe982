"""A network namespace for a test body, in a thread of its own: the test run stays outside."""

from __future__ import annotations

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable

import pytest

_CLONE_NEWNET = 0x40000000


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def in_namespace(body: Callable[[], None]) -> None:
    """Run ``body`` in a new namespace with ``lo`` up; its children inherit the namespace."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            ip("link", "set", "lo", "up")
            body()
        except BaseException as e:
            failed.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


@pytest.fixture
def namespace() -> Callable[[Callable[[], None]], None]:
    if os.geteuid() != 0:
        pytest.skip("needs root to make a network namespace")
    return in_namespace
