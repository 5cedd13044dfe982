"""Ontology, rules, attack models and reaction tables as files: loaded, watched, compiled, kept."""
