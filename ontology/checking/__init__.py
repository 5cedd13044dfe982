"""What is wrong with ontology and rule files, said before it happens: `check_files`.

``findings`` the words; ``terms`` classes, properties and literals; ``rules`` SWRL and the traps of
Pellet and owlready2; ``logic`` profile and consistency, by OWL API and Pellet in their own process.
"""
