"""Acknowledged delivery: units in flight, redelivery and dead letters."""
