"""Tests with input that nobody would send on purpose."""
