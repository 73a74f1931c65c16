"""Programs of hostile and clumsy clients: each is a generator that attacks once between two yields, without an end."""
