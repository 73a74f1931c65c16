"""Demo of ``frys demo``: a gateway, agents that train a small model on real data, and a live view of their streams."""
