"""Packets to connection records, a block of packets at a time."""
