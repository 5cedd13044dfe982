"""Packets in: rings of the kernel, log groups, files, and scapy where nothing else serves."""
