"""How fast signatures are matched: multi-pattern search against rule by rule, in one run.

    python benchmarks/bench_signatures.py [CAPTURE] [--rules FILE…] [--count N] [--json]

Without rules 3,000 are generated (seeded) in the proportions of a distribution set: half of them
for web servers, the others for a score of services, a few for any port, one in ten with an
expression, one in twenty with headers only. Without a capture it is that of bench_packets.py.
The slower side (every rule on every packet whose headers agree) gets the first packets only, and
both must find the same there.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import string
import sys
import tempfile
import time
from pathlib import Path

from bench_packets import generate

from agents.sensor.flows.decode import decode
from agents.sensor.flows.packets import Packets
from agents.sensor.signatures.matcher import SignatureMatcher
from datasets.captures.pcap import read_capture
from rules.signatures.parse import Signature, load_signatures, read_rule

_PLAIN_PACKETS = 4_000
_SERVICES = (21, 22, 23, 25, 53, 69, 79, 110, 111, 119, 135, 139, 143, 161, 445, 513, 1433, 1521)


def _word(rng: random.Random, least: int, most: int) -> str:
    return "".join(rng.choices(string.ascii_lowercase, k=rng.randint(least, most)))


def make_rules(count: int, seed: int = 1) -> list[Signature]:
    """Rules of our own: random words, the options of real ones."""
    rng = random.Random(seed)  # noqa: S311
    out = []
    for sid in range(1, count + 1):
        kind = rng.random()
        proto, target, flow = "tcp", str(rng.choice(_SERVICES)), "flow:to_server,established; "
        if kind < 0.5:
            target = "$HTTP_PORTS"
            options = f'uricontent:"/{_word(rng, 3, 12)}.{_word(rng, 2, 4)}"; nocase;'
            if rng.random() < 0.3:
                options += f' content:"{_word(rng, 2, 6)}="; nocase; distance:0;'
        elif kind < 0.75:
            options = f'content:"{_word(rng, 3, 10)}"; nocase; content:"{_word(rng, 1, 4)}";'
            options += f" distance:{rng.randint(0, 9)}; within:{rng.randint(10, 60)};"
        elif kind < 0.82:
            proto, target, flow = "udp", rng.choice([target, "any"]), ""
            raw = " ".join(f"{rng.randrange(256):02x}" for _ in range(rng.randint(3, 9)))
            options = f'content:"|{raw}|"; depth:{rng.randint(9, 40)};'
        elif kind < 0.92:
            options = f'content:"{_word(rng, 4, 6)}"; nocase;'
            options += f' pcre:"/^{_word(rng, 4, 6)}\\s[^\\n]{{90}}/smi";'
        elif kind < 0.95:
            target = "any"
            options = f'content:"{_word(rng, 5, 12)}";'
        else:
            proto, target, flow = rng.choice(
                [("icmp", "any", ""), ("tcp", str(rng.randrange(1, 65536)), "")]
            )
            options = f"itype:{rng.randrange(30)};" if proto == "icmp" else "flags:S; dsize:>900;"
        # What every request contains: as many packets are left to test one by one as the Snort
        # distribution rules leave on this traffic (30,000 in 100,000).
        if sid % 1000 == 0:
            target, options = "$HTTP_PORTS", f'content:"Host|3a|"; pcre:"/{_word(rng, 5, 9)}/R";'
        if sid == 7:
            target, options = "$HTTP_PORTS", 'uricontent:"/page3.html?id=77";'
        header = f"alert {proto} any any -> any {target}"
        out.append(read_rule(f'{header} (msg:"generated {sid}"; {flow}{options} sid:{sid};)'))
    return out


def _run(matcher: SignatureMatcher, blocks: list[Packets]) -> tuple[float, list[tuple[int, int]]]:
    found: list[tuple[int, int]] = []
    begin = time.process_time()
    for number, packets in enumerate(blocks):
        matches = matcher.match(packets)
        found += [
            (number << 32 | packet, matcher.signatures[rule].sid)
            for packet, rule in zip(
                matches.packet.tolist(), matches.signature.tolist(), strict=True
            )
        ]
    return time.process_time() - begin, found


def measure(capture: Path, signatures: list[Signature], rounds: int) -> dict[str, object]:
    """Medians of packets per CPU second (decoding not counted), and their ratio."""
    blocks = [decode(raw) for raw in read_capture(capture)]
    some: list[Packets] = []
    for raw in read_capture(capture, block_bytes=1 << 18):
        if sum(map(len, some)) < _PLAIN_PACKETS:
            some.append(decode(raw))
    begin = time.process_time()
    SignatureMatcher(signatures)
    built = time.process_time() - begin
    total, part = sum(map(len, blocks)), sum(map(len, some))
    rates: dict[str, list[float]] = {"multi_pattern": [], "rule_by_rule": []}
    matches = 0
    for _ in range(rounds):
        fast = SignatureMatcher(signatures)
        seconds, found = _run(fast, blocks)
        rates["multi_pattern"].append(total / seconds)
        matches = len(found)
        plain = SignatureMatcher(signatures, multi_pattern=False)
        seconds, slow = _run(plain, some)
        rates["rule_by_rule"].append(part / seconds)
        _, again = _run(SignatureMatcher(signatures), some)
        assert again == slow, "the two ways find different things"
    medians = {name: statistics.median(values) for name, values in rates.items()}
    return {
        "rules": len(fast.signatures),
        "packets": total,
        "with_payload": fast.counters["scanned"],
        "matches": matches,
        "build_seconds": round(built, 2),
        "packets_per_cpu_second": {name: round(rate) for name, rate in medians.items()},
        "multi_pattern_over_rule_by_rule": round(
            medians["multi_pattern"] / medians["rule_by_rule"], 1
        ),
        "target_100000": medians["multi_pattern"] >= 100_000,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("capture", nargs="?", type=Path)
    parser.add_argument("--rules", nargs="+", type=Path, help="files or folders")
    parser.add_argument("--count", type=int, default=3_000, help="of rules generated, or at most")
    parser.add_argument("--packets", type=int, default=100_000, help="of the generated capture")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    if arguments.rules:
        signatures = list(load_signatures(arguments.rules).executable)[: arguments.count]
    else:
        signatures = make_rules(arguments.count)
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.capture
        if path is None:
            path = Path(folder, "mix.pcap")
            generate(path, arguments.packets)
        result = measure(path, signatures, arguments.rounds)
    if arguments.json:
        print(json.dumps(result))
        return 0
    for name, value in result.items():
        print(f"{name}: {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
