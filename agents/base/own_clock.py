"""Times in what another host says, put on a clock of one's own. Pure.

Wall clocks of two hosts are never compared. How old a message is, is known without them
(`BaseAgent.age_s`), and within one record two times are by one clock.
"""

from __future__ import annotations

from dataclasses import replace

from ontology.records import Block, Decision


def decision_here(decision: Decision, now_us: int, age_s: float) -> Decision:
    """A decision as it was made ``age_s`` seconds before ``now_us`` on our clock."""
    return replace(decision, decided_us=now_us - round(age_s * 1e6))


def block_here(block: Block, now_us: int, age_s: float) -> Block:
    """A gateway's report as it was made ``age_s`` seconds before ``now_us`` on our clock.

    What remained of the block then (``expires_us - since_us``) stays.
    """
    since_us = now_us - round(age_s * 1e6)
    left_us = block.expires_us - block.since_us if block.expires_us else -since_us
    return replace(block, since_us=since_us, expires_us=since_us + left_us)
