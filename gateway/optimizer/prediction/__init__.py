"""Predictions for streams of which some candidates were not tried, by a model in a process of its own."""
