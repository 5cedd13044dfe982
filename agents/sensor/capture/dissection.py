"""Scapy in a process of its own: filter expressions to BPF, and cited packets to a line of text.

Scapy is GPL-2.0-only and takes a second to import, so no agent imports it. This module is both
ends: `compile_filter` and `dissect` start ``python -m agents.sensor.capture.dissection`` and
exchange one line of JSON with it. Frames are hostile; the process has a time limit and what it says
is cleaned. One that reads a frame has loaded everything before, and can then open no file and no
socket, start nothing, and use no more than some seconds and some memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from functools import lru_cache
from typing import Any

from datasets.captures.pcap import ETHERNET, CaptureError
from ontology.confined_worker import confine_worker
from ontology.packet_evidence import MAX_DISSECTION

_TIMEOUT_S = 20.0
_MAX_EXPRESSION = 4096
_MAX_TEXT = 1000
_MAX_FRAME = 65_535
_CPU_S = 10
_MEMORY = 1 << 30
"""Address space, scapy and its layers included."""
_LONGEST_LINE = 400
"""Characters: a payload is one value, and a page has a width."""

Instruction = tuple[int, int, int, int]
"""One BPF instruction: code, jump if true, jump if false, operand."""


@lru_cache(maxsize=16)
def compile_filter(expression: str, link_type: int = ETHERNET) -> tuple[Instruction, ...]:
    """A pcap filter expression (pcap-filter(7)) as BPF.

    Raises:
        CaptureError: it does not compile, or there is no libpcap to compile it.
    """
    if len(expression) > _MAX_EXPRESSION:
        raise CaptureError(f"capture filter is longer than {_MAX_EXPRESSION} characters")
    if not expression.isprintable():
        raise CaptureError(f"capture filter {expression!r} holds control characters")
    answer = _ask({"filter": expression, "link_type": link_type})
    if "program" not in answer:
        raise CaptureError(f"capture filter {expression!r}: {answer['error']}")
    return tuple((int(c), int(jt), int(jf), int(k)) for c, jt, jf, k in answer["program"])


def dissect(frame: bytes, link_type: int = ETHERNET) -> str:
    """What a packet is, in one printable line of at most 1,000 characters.

    Raises:
        CaptureError: the dissector failed or took too long.
    """
    answer = _ask({"frame": frame[:_MAX_FRAME].hex(), "link_type": link_type})
    if "text" not in answer:
        raise CaptureError(f"packet can't be dissected: {answer['error']}")
    return _clean(str(answer["text"]))


def dissect_layers(frame: bytes, link_type: int = ETHERNET) -> str:
    """What a packet is, layer by layer and field by field, in lines of printable ASCII; at most
    `MAX_DISSECTION` characters.

    Raises:
        CaptureError: the dissector failed or took too long.
    """
    answer = _ask({"frame": frame[:_MAX_FRAME].hex(), "link_type": link_type, "layers": True})
    if "text" not in answer:
        raise CaptureError(f"packet can't be dissected: {answer['error']}")
    lines = (_clean(line)[:_LONGEST_LINE].rstrip() for line in str(answer["text"]).split("\n"))
    return "\n".join(line for line in lines if line)[:MAX_DISSECTION]


def _clean(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "." for c in text)[:_MAX_TEXT]


def _ask(question: dict[str, Any]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            # -P: the working directory must not be able to stand in for scapy.
            [sys.executable, "-P", "-m", "agents.sensor.capture.dissection"],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired as e:
        raise CaptureError(f"the dissection process took over {_TIMEOUT_S:.0f} s") from e
    except (OSError, ValueError) as e:
        raise CaptureError(f"the dissection process failed: {e}") from e
    if not isinstance(answer, dict):
        raise CaptureError("the dissection process failed: no answer")
    return answer


def _compile(expression: str, link_type: int) -> list[Instruction]:
    from scapy.arch.common import compile_filter as compile_with_libpcap

    program = compile_with_libpcap(expression, linktype=link_type)
    instructions = program.bf_insns[: program.bf_len]
    return [(i.code, i.jt, i.jf, i.k) for i in instructions]


def _told(frame: bytes, link_type: int, *, layers: bool) -> str:
    import scapy.all  # noqa: F401  registers the layers
    from scapy.config import conf
    from scapy.packet import Raw

    layer = conf.l2types.num2layer.get(link_type, Raw)
    confine_worker()
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    packet = layer(frame)
    return str(packet.show(dump=True) if layers else packet.summary())[: 4 * MAX_DISSECTION]


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    """The process's side. Scapy raises anything on hostile frames: all of it is an answer."""
    try:
        if "filter" in question:
            return {"program": _compile(question["filter"], question["link_type"])}
        frame, link_type = bytes.fromhex(question["frame"]), question["link_type"]
        return {"text": _told(frame, link_type, layers=bool(question.get("layers")))}
    except Exception as e:
        return {"error": _clean(f"{e}") or type(e).__name__}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_answer(json.loads(sys.stdin.read()))))
