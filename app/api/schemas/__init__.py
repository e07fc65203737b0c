"""Request and answer bodies: the only place with wire names, examples and descriptions."""
