"""Benchmark of the choice of encodings by cost, on real arrays."""
