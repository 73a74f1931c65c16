"""Sessions: the peers that are connected, and the work that each has under way."""
