"""Whole slides: where tissue lies, how it is stained, what a patch classifier says of it, and what that adds up to."""
