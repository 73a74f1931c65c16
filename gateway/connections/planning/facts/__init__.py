"""Facts: what plans are made of, read from the parts of the gateway from one look to the next."""
