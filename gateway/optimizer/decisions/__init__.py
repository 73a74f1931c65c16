"""Decisions by cost: the chain for each stream, link tier and software of receivers, with the reason."""
