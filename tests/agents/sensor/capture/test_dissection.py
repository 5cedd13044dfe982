"""The scapy process: filters, cited packets, and hostile input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agents.sensor.capture import dissection
from agents.sensor.capture.dissection import compile_filter, dissect, dissect_layers
from datasets.captures.pcap import CaptureError
from ontology.packet_evidence import MAX_DISSECTION

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


def test_layers_are_lines_of_printable_text_within_bounds() -> None:
    text = dissect_layers(ARP)
    assert "###[ ARP ]###" in text and "psrc      = 192.0.2.1" in text
    hostile = bytes(12) + b"\x08\x00\x45\0\xff\xff" + b"\x1b]0;owned\x07\r\n\xe2\x80\xae" * 4000
    for link_type in (1, 101, 113, 60_000):
        text = dissect_layers(hostile, link_type)
        assert len(text) <= MAX_DISSECTION
        assert all(line.isascii() and line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize(
    "code",
    [
        "open(FILE).read()",
        "import socket; socket.socket()",
        "import subprocess; subprocess.run(['true'])",
        "open(FILE, 'w')",
        "bytearray(2 << 30)",
    ],
)
def test_code_that_took_over_the_dissector_can_do_nothing(code: str, tmp_path: Path) -> None:
    """It runs where scapy would read the frame."""
    secret = tmp_path / "secret"
    secret.write_text("x")
    code = code.replace("FILE", repr(str(secret)))
    program = (
        "import sys\nfrom agents.sensor.capture import dissection\n"
        "from scapy.config import conf\n"
        "import scapy.all\n"
        f"def evil(frame):\n    {code}\n    raise SystemExit(7)\n"
        "conf.l2types.num2layer[1] = evil\n"
        "answer = dissection._answer({'frame': '00', 'link_type': 1, 'layers': True})\n"
        "sys.exit(0 if 'error' in answer else 8)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_a_dissector_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dissection, "_TIMEOUT_S", 0.01)
    with pytest.raises(CaptureError, match="took over"):
        dissect_layers(ARP)
