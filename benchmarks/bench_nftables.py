"""One block into the kernel: our netlink against an ``nft -f -`` process per order, in one run.

Run ``python benchmarks/bench_nftables.py``; it makes a network namespace of its own. Prints median
and 95th percentile milliseconds, with an empty set and with 100,000 blocks in it, and the ratio.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address

from agents.reaction.netlink import Change, NetlinkSocket
from agents.reaction.nftables import Nftables
from agents.reaction.ruleset import TABLE
from datasets.laboratory.network import in_sandbox, run_in_sandbox, why_unavailable
from ontology.records import Address

ROUNDS = 100
PRESENT = (0, 100_000)


def _measure(work: Callable[[IPv4Address], object], first: str) -> tuple[float, float]:
    """(median, 95th percentile) milliseconds over `ROUNDS` new addresses."""
    start = int(IPv4Address(first))
    work(IPv4Address(start - 1))  # the first one pays for imports and sockets
    times = []
    for number in range(ROUNDS):
        began = time.perf_counter_ns()
        work(IPv4Address(start + number))
        times.append((time.perf_counter_ns() - began) / 1e6)
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def _by_process(address: IPv4Address) -> None:
    subprocess.run(
        ["nft", "-f", "-"],
        input=f"add element inet {TABLE} block4 {{ {address} timeout 600s }}\n",
        text=True,
        check=True,
    )


def _inside() -> None:
    firewall = Nftables()
    firewall.install()
    raw = NetlinkSocket(TABLE)

    def add(address: IPv4Address) -> None:
        raw.commit([Change("add", "block4", [address.packed], [600_000])])

    print(f"{'present':>8} {'one more by':<15} {'median ms':>10} {'p95 ms':>8} {'ratio':>7}")
    for number, present in enumerate(PRESENT):
        wanted: dict[Address, float] = {
            IPv4Address(0x0A00_0000 + i): 3600.0 for i in range(present)
        }
        began = time.perf_counter()
        firewall.block_many(wanted)
        bulk_s = time.perf_counter() - began
        base = 20 * (number + 1)
        rows = {
            "netlink add": _measure(add, f"172.16.{base}.1"),
            "Nftables.block": _measure(lambda a: firewall.block(a, 600), f"172.16.{base + 4}.1"),
            "nft -f -": _measure(_by_process, f"172.16.{base + 8}.1"),
        }
        base_ms = rows["netlink add"][0]
        for name, (median, p95) in rows.items():
            print(f"{present:>8} {name:<15} {median:>10.4f} {p95:>8.4f} {median / base_ms:>7.1f}")
        if present:
            print(f"{present} blocks in one transaction: {bulk_s:.2f} s")
    began = time.perf_counter()
    count = len(firewall.blocked())
    print(f"{count} blocks listed: {time.perf_counter() - began:.2f} s")
    began = time.perf_counter()
    Nftables().install()
    print(f"table taken over by a new process: {time.perf_counter() - began:.2f} s")
    raw.close()
    firewall.close()


def main() -> int:
    if in_sandbox():
        _inside()
        return 0
    if reason := why_unavailable():
        print(reason, file=sys.stderr)
        return 1
    with run_in_sandbox([sys.executable, __file__]) as process:
        return process.wait()


if __name__ == "__main__":
    sys.exit(main())
