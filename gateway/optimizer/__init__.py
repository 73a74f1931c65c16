"""Choice of codecs and filters for each stream, learned from its traffic."""
