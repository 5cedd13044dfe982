"""Reaction rules: which response an incident calls for."""
