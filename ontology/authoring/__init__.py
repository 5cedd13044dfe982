"""What engineers see of the ontology: documents, pictures, differences, translations."""
