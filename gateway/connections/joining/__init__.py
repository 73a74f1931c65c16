"""Receivers that are about to join states: their waves, and the newest version encoded before they come."""
