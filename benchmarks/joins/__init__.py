"""Receivers that join a state in waves: the time until each has its first whole version, with plans and without."""
