"""Ontology, rules, attack models and reaction tables as files: watched, compiled, checked, sent to
those who reason, and kept by them."""
