"""Benchmarks of the gateway against peers in the same run: ``python -m benchmarks``, see ``README.md`` beside this."""
