"""Alerts of other people's sensors with known answers, for ``ontoidps evaluate correlation``.

Readers for sets that stand outside of the tree; ``docs/evaluation.md`` says where a user gets each.
"""
