"""Who leads and who assists: retries, newest orders, failures that stay where they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, ip_address

import pytest

from agents.reaction import responders
from agents.reaction.firewall import DryRunFirewall, FirewallError
from agents.reaction.responders import Adapted, Assistant, ResponderOptions, Team, make_team
from ontology.records import Address

A, B = ip_address("192.0.2.66"), ip_address("2001:db8::66")


class Notes:
    """Keeps what it is told; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.told: list[tuple[str, Address | None]] = []
        self.ends: dict[Address, float] = {}
        self.gate = threading.Event()
        self.gate.set()

    def _do(self, what: str, address: Address | None) -> None:
        self.gate.wait(10)
        if self.failures:
            self.failures -= 1
            raise OSError("busy")
        self.told.append((what, address))

    def install(self) -> None:
        self._do("install", None)

    def block(self, address: Address, seconds: float) -> float:
        self._do("block", address)
        self.ends[address] = seconds
        return seconds

    def unblock(self, address: Address) -> bool:
        self._do("unblock", address)
        return self.ends.pop(address, None) is not None

    def blocked(self) -> Mapping[Address, float]:
        return self.ends

    def close(self) -> None:
        self._do("close", None)


def wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responders, "_FIRST_RETRY_S", 0.01)


def test_an_assistant_tries_again_until_it_works() -> None:
    notes = Notes(failures=3)
    assistant = Assistant("n", notes)
    assistant.order(A, 60)
    wait(lambda: not assistant.waiting)
    assert notes.told == [("install", None), ("block", A)]
    assert assistant.counters == {"errors": 3, "orders": 1}
    assistant.close()
    assert notes.told[-1] == ("close", None)


def test_only_the_newest_order_for_an_address_counts() -> None:
    notes = Notes()
    notes.gate.clear()
    assistant = Assistant("n", notes)
    for _ in range(50):
        assistant.order(A, 60)
        assistant.order(B, 60)
        assistant.order(A, None)
    notes.gate.set()
    wait(lambda: not assistant.waiting)
    assert notes.told == [("install", None), ("block", B), ("unblock", A)]
    assistant.close()


def test_a_block_whose_time_is_over_is_not_carried_out() -> None:
    notes, now = Notes(), [0.0]
    notes.gate.clear()
    assistant = Assistant("n", notes, clock=lambda: now[0])
    assistant.order(A, 5)
    now[0] = 6.0
    notes.gate.set()
    wait(lambda: not assistant.waiting)
    assert notes.told == [("install", None)]
    assistant.close()


def test_orders_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responders, "MAX_ORDERS", 3)
    notes = Notes()
    notes.gate.clear()
    assistant = Assistant("n", notes)
    for number in range(1, 11):
        assistant.order(IPv4Address(number), 60)
    assert (assistant.waiting, assistant.counters["forgotten"]) == (3, 7)
    notes.gate.set()
    wait(lambda: not assistant.waiting)
    assert notes.told[1:] == [("block", IPv4Address(n)) for n in (8, 9, 10)]
    assistant.close()


def test_an_assistant_that_hangs_holds_nobody_up() -> None:
    notes = Notes()
    notes.gate.clear()
    lead = DryRunFirewall()
    team = Team(lead, [Assistant("n", notes)])
    began = time.monotonic()
    team.install()
    assert team.block(A, 60) > 0 and team.unblock(A)
    team.block(B, 60)
    assert time.monotonic() - began < 5
    assert set(lead.blocked()) == {B}
    assert team.health()["responder.n.waiting"] == 2
    notes.gate.set()
    wait(lambda: not team.health()["responder.n.waiting"])
    team.close()


def test_what_the_lead_puts_back_the_assistants_hear() -> None:
    notes = Notes()
    team = Team(DryRunFirewall(), [Assistant("n", notes)])
    assert set(team.reconcile({A: 50.0}).restored) == {A}
    team.catch_up({B: 50.0})
    wait(lambda: set(notes.ends) == {A, B})
    team.close()


def test_a_plain_responder_can_lead() -> None:
    notes = Notes()
    firewall = Adapted("n", notes)
    firewall.install()
    firewall.block_many({A: 60.0, B: 60.0})
    assert firewall.remaining(A) == 60.0
    assert firewall.changed() and firewall.verify()
    del notes.ends[B]
    assert firewall.reconcile({A: 59.0, B: 59.0}).restored == (B,)
    firewall.remove()
    assert firewall.blocked() == {}
    notes.failures = 1
    with pytest.raises(FirewallError, match="responder 'n': OSError: busy"):
        firewall.block(A, 60)


def test_a_lead_that_can_t_be_made_is_one_line() -> None:
    with pytest.raises(FirewallError, match="responder 'none-such': no responder is called"):
        make_team(["none-such"], ResponderOptions())
