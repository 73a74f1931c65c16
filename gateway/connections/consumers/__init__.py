"""Acknowledged delivery: messages in flight, redelivery, dead letters."""
