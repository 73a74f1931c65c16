"""Heartbeat: connections are asked for signs of life, each in its turn, and those that give none are closed."""
