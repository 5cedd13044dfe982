"""Reaction: turns decisions into timed blocks in one gateway's kernel, and reports on them.

Receives: Decision (supervisor: request). Sends: Block (supervisor: agree, refuse, inform, failure).
Invariant: no address of the allow-list, of a node or of a honeypot is ever blocked, and no block is
without an end.
"""
