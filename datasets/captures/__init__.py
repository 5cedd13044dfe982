"""Capture files: pcap and pcapng, whole or growing."""
