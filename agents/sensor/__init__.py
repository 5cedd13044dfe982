"""The sensor's room: packets in, connection records out.

Receives nothing by message; sends `ConnectionBatch` (inform) to the analyzer of its own node.
Packets go ``capture`` or a file → ``decode`` → ``payload`` → ``flows`` → ``core``. Invariant: every
packet that decodes is counted in exactly one record, or passed over by a rule that says so.
"""
