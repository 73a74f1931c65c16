"""Benchmark ``make storm``: very many clients are cut off at once, and come back."""
