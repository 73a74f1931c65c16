"""Subscriptions that live through reconnects."""
