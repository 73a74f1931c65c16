"""Slow readers of every kind, size and speed: the gateway's memory, and what others notice, stay within bounds."""
