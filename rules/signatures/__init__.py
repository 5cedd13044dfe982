"""Snort and Suricata rules: their grammar, and what of it is carried out."""
