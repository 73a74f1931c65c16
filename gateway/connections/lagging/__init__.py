"""Receivers that lag: which ones fall behind and catch up, and how much of events waits for each."""
