"""How the sample captures were made."""
