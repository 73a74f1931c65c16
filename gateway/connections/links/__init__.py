"""Measured values of each connection: round trip, goodput, queue delay, losses, and what its receiver reports."""
