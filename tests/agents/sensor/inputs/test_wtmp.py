"""Login sessions from records as glibc writes them."""

from __future__ import annotations

import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path

import numpy as np
import pytest

from agents.sensor.inputs.events import Options
from agents.sensor.inputs.follower import Follower
from agents.sensor.inputs.intake import Intake
from agents.sensor.inputs.wtmp import MAX_TERMINALS, UTMP, WtmpParser
from agents.settings.honeynet import Input
from ontology.records import HostEvent

NOW_US = 1_795_000_000_000_000
SECONDS = 1_764_450_000
UNSET = "0.0.0.0"  # noqa: S104


def record(kind: int, line: str = "pts/1", user: str = "root", address: str = "") -> bytes:
    made = np.zeros(1, UTMP)
    made["type"], made["pid"], made["line"], made["user"] = kind, 900, line.encode(), user.encode()
    made["seconds"], made["microseconds"] = SECONDS, 7
    if address:
        packed = ip_address(address).packed
        made["address"] = np.void(packed + bytes(16 - len(packed)))
    return made.tobytes()


def events(*records: bytes) -> list[HostEvent]:
    intake = Intake(WtmpParser(Options(address=ip_address("198.51.100.18"))), sensor="sensor")
    return [r for r in intake.on_lines(records, "mark", NOW_US) if isinstance(r, HostEvent)]


@pytest.mark.parametrize("address", ["192.0.2.66", "2001:db8::66", ""])
def test_a_session_begins_and_ends(address: str) -> None:
    begun, ended = events(record(7, address=address), record(8, user=""))
    assert (begun.event_kind, ended.event_kind) == ("login", "logout")
    assert begun.user_name == ended.user_name == "root"
    assert begun.source == ended.source == (ip_address(address) if address else None)
    assert (begun.session_name, begun.process_id) == ("pts/1", 900)
    assert begun.begin_us == SECONDS * 1_000_000 + 7


def test_ends_of_what_did_not_begin_say_nothing() -> None:
    assert events(record(8), record(1), record(6)) == []
    assert len(events(record(7), record(2, line="~"), record(8))) == 1  # a restart between


def test_another_byte_order_is_refused() -> None:
    intake = Intake(WtmpParser(Options()), sensor="sensor")
    swapped = np.frombuffer(record(7), UTMP).byteswap().tobytes()
    assert intake.on_lines([swapped], "mark", NOW_US) == []
    assert intake.counters["refused.shape"] == 1


def test_terminals_are_bounded_and_remembered() -> None:
    parser = WtmpParser(Options())
    for number in range(2 * MAX_TERMINALS):
        list(parser.on_line(record(7, line=f"pts/{number}")))
    other = WtmpParser(Options())
    other.remember(parser.memory())
    assert len(parser.memory()) < 65_536
    assert len(list(other.on_line(record(8, line=f"pts/{2 * MAX_TERMINALS - 1}")))) == 1
    assert list(other.on_line(record(8, line="pts/0"))) == []


@pytest.mark.skipif(shutil.which("utmpdump") is None, reason="util-linux is not installed")
@pytest.mark.parametrize("address", ["192.0.2.66", "2001:db8::66"])
def test_what_util_linux_writes_is_read(address: str, tmp_path: Path) -> None:
    """Its utmpdump turns text into records, by the struct of the C library of this host."""
    text = (
        f"[7] [00900] [ts/1] [root    ] [pts/1       ] [scanner.example     ] [{address:<15}] "
        "[2025-11-29T21:00:00,000007+00:00]\n"
        f"[8] [00900] [ts/1] [        ] [pts/1       ] [                    ] [{UNSET:<15}] "
        "[2025-11-29T21:05:00,000000+00:00]\n"
    )
    made = subprocess.run(["utmpdump", "-r"], input=text.encode(), capture_output=True, check=True)
    path = tmp_path / "wtmp"
    path.write_bytes(made.stdout)
    entry = Input(kind="wtmp", path=path, address="198.51.100.18", from_start=True)
    follower = Follower(entry, sensor="sensor", state_dir=tmp_path, honeypots=())
    begun, ended = follower.next(NOW_US) or ()
    assert isinstance(begun, HostEvent) and isinstance(ended, HostEvent)
    assert (begun.source, begun.user_name) == (ip_address(address), "root")
    assert begun.begin_us == 1_764_450_000_000_007
    assert (ended.event_kind, ended.source) == ("logout", ip_address(address))
    follower.done()
    with path.open("ab") as file:
        file.write(made.stdout[:100])
    assert follower.next(NOW_US) is None  # half a record
    with path.open("ab") as file:
        file.write(made.stdout[100:384])
    assert len(follower.next(NOW_US) or ()) == 1
    follower.close()
