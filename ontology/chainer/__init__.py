"""SWRL rules without Java: what can fire, what can meet, which facts a conclusion needs; and the
oracle that tests hold Pellet against."""
