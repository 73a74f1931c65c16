"""Benchmarks of the gateway and of other servers in the same run: ``python -m benchmarks``, see ``README.md``."""
