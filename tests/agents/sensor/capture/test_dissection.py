"""The scapy process: filters, cited packets, and hostile input."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agents.sensor.capture.dissection import compile_filter, dissect
from datasets.captures.pcap import CaptureError

ARP = bytes.fromhex(
    "ffffffffffff02000000000108060001080006040001020000000001c0000201000000000000c0000202"
)


def test_filter_is_compiled_to_bpf() -> None:
    program = compile_filter("udp port 53")
    assert program[-1] == (6, 0, 0, 0)  # ret #0: everything else is left out
    assert all(len(instruction) == 4 for instruction in program)


@pytest.mark.parametrize("expression", ["udp prt 1", "host (", "\0", "a" * 5000, "port $(id)"])
def test_bad_filter_is_refused_in_one_line(expression: str) -> None:
    with pytest.raises(CaptureError, match="capture filter") as e:
        compile_filter(expression)
    assert "\n" not in str(e.value)


def test_cited_packet_becomes_a_line() -> None:
    assert "192.0.2.1" in dissect(ARP)


def test_hostile_frame_becomes_printable_text() -> None:
    text = dissect(bytes(12) + b"\x08\x00" + b"\x1b[2J\n\r\xff" * 30)
    assert text
    assert text.isprintable()
    assert len(text) <= 1000


def test_agents_never_import_scapy() -> None:
    code = (
        "import sys, agents.sensor.core, agents.sensor.capture.capture\n"
        "sys.exit('scapy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
