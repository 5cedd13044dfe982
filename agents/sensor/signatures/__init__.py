"""Snort and Suricata rules on captured packets, live in a process of its own."""
