"""Evaluation: what the detectors are worth on data with known answers, as the papers' tables.

`metrics` counts, `plots` draws, `report` writes; `kdd`, `nsl_kdd` and `captures` run one kind of
data each. Not an agent: `agents.commands.evaluate` is its only user.
"""
