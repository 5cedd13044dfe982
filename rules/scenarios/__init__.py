"""Attack models, and the SWRL rules that are made from them."""
