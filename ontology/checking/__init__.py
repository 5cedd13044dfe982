"""Checks of ontology and rule files before anybody loads them; `check_files` runs them all.

``problem`` is what a check reports; ``terms`` checks classes, properties and literals; ``rules``
and ``conclusions`` check SWRL and the traps of Pellet and owlready2; ``logic`` asks OWL API and
Pellet, in a process of their own, for profile and consistency.
"""
