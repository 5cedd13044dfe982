"""Interfaces of a namespace of its own that go, come back, go down and get other names."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable

import pytest

from agents.sensor.capture.capture import InterfaceMissing
from agents.sensor.capture.interfaces import InterfaceWatch

Namespace = Callable[[Callable[[], None]], None]
pytestmark = pytest.mark.root


def ip(line: str) -> None:
    subprocess.run(["ip", *line.split()], check=True, capture_output=True)


def pair() -> None:
    ip("link add wan0 type veth peer name far0")
    ip("link set far0 up")
    ip("link set wan0 up")


def becomes(watch: InterfaceWatch, trouble: str) -> bool:
    """The kernel tells of carriers with up to a second's delay."""
    deadline = time.monotonic() + 4
    while watch.trouble() != trouble and time.monotonic() < deadline:
        time.sleep(0.02)
    return watch.trouble() == trouble


def test_each_state_has_its_word(namespace: Namespace) -> None:
    def body() -> None:
        pair()
        watch = InterfaceWatch("wan0")
        assert becomes(watch, "")
        ip("link set far0 down")
        assert becomes(watch, "interface wan0 has no carrier, nothing is at its other end")
        ip("link set wan0 down")
        assert becomes(watch, "interface wan0 is down")
        ip("link set far0 up")
        ip("link set wan0 up")
        assert becomes(watch, "")
        watch.close()
        watch.close()
        lo = InterfaceWatch("lo")
        assert lo.trouble() == ""
        lo.close()

    namespace(body)


def renamed() -> None:
    ip("link set wan0 down")
    ip("link set wan0 name lan7")
    ip("link set lan7 up")


def replaced() -> None:
    """Another one has its name: what was opened brings packets of the first."""
    renamed()
    ip("link add wan0 type veth peer name far1")
    ip("link set far1 up")
    ip("link set wan0 up")


def made_anew() -> None:
    ip("link del wan0")
    pair()


@pytest.mark.parametrize("change", [lambda: ip("link del wan0"), renamed, replaced, made_anew])
def test_the_one_that_was_opened_is_gone(namespace: Namespace, change: Callable[[], None]) -> None:
    def body() -> None:
        pair()
        watch = InterfaceWatch("wan0")
        change()
        with contextlib.closing(watch), pytest.raises(InterfaceMissing):
            watch.trouble()

    namespace(body)


@pytest.mark.parametrize("name", ["wan9", "a" * 40, "wän0", "x\0y"])
def test_there_is_none(namespace: Namespace, name: str) -> None:
    def body() -> None:
        with pytest.raises(InterfaceMissing):
            InterfaceWatch(name)

    namespace(body)
