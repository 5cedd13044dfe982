"""What the dearest payload of each family costs the sensor, and what a flood takes from others.

    python benchmarks/bench_hostile.py [--tries N] [--packets N] [--seed N] [--only TEXT] [--json]

Each family (`hostile.families`) is one kind of payload to one reader, in connections that the
responder has answered; the dearest of it is looked for by mutation (`hostile.search`). Measured is
CPU time per packet from the captured block to connection records, in blocks of one family only,
each payload full of it, and what it costs over the cheapest of the same round. Exits with 1 if the
worst costs more than 40 µs or 60 times the best, or if one flooding source takes reading from
twenty ordinary ones.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from collections.abc import Sequence
from typing import Any

from hostile.fairness import Flood, measure_flood
from hostile.families import FAMILIES
from hostile.search import cost_us, worst
from threadpoolctl import threadpool_limits

WORST_US = 40.0
RATIO = 60.0
_ROUNDS = 8


def measure(tries: int, packets: int, seed: int, only: str) -> list[dict[str, Any]]:
    """One row per family, the dearest first."""
    found = [
        (family, worst(family, tries, random.Random(seed * 1000 + number)))  # noqa: S311
        for number, family in enumerate(FAMILIES)
        if only in family.name
    ]
    # All in turn: a machine that is busy for a while delays all alike, so costs of one round can be
    # compared, and of several rounds the least is what the machine can do.
    rounds = [
        [cost_us(family, payload, packets, 1) for family, payload in found] for _ in range(_ROUNDS)
    ]
    rows = [
        {
            "family": family.name,
            "us": round(min(costs), 2),
            "ratio": round(
                statistics.median(
                    cost / min(together) for cost, together in zip(costs, rounds, strict=True)
                ),
                1,
            ),
            "payload": repr(payload[:40]),
            "bytes": len(payload),
        }
        for (family, payload), costs in zip(found, zip(*rounds, strict=True), strict=True)
    ]
    return sorted(rows, key=lambda row: -row["us"])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tries", type=int, default=150, help="mutations per family")
    parser.add_argument("--packets", type=int, default=2_000, help="of each measurement")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="families whose name holds this")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    with threadpool_limits(1):
        rows = measure(arguments.tries, arguments.packets, arguments.seed, arguments.only)
        flood: Flood = measure_flood()
    dearest, cheapest = rows[0]["us"], rows[-1]["us"]
    ratio = max(row["ratio"] for row in rows)
    faults = []
    if dearest > WORST_US:
        faults.append(f"{rows[0]['family']} costs {dearest} µs a packet, more than {WORST_US}")
    if ratio > RATIO:
        faults.append(f"worst and best of a round differ by {ratio}, more than {RATIO}")
    if flood.ordinary_read < flood.ordinary:
        faults.append(f"of {flood.ordinary} ordinary payloads {flood.ordinary_read} were read")
    if not flood.thinned:
        faults.append("the flood was not thinned: nothing was shown")
    result = {
        "families": len(rows),
        "worst_us": dearest,
        "best_us": cheapest,
        "ratio": ratio,
        "flood": {
            "ordinary": flood.ordinary,
            "ordinary_read": flood.ordinary_read,
            "flooder": flood.flooder,
            "thinned": flood.thinned,
        },
        "faults": faults,
    }
    if arguments.json:
        print(json.dumps(result | {"rows": rows}))
        return 1 if faults else 0
    for row in rows:
        print(
            f"{row['us']:8.2f} µs {row['ratio']:6.1f}  {row['family']:<36} {row['bytes']:>5}"
            f"  {row['payload']}"
        )
    for name, value in result.items():
        print(f"{name}: {value}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
