"""Subscriptions of the gateway: streams, patterns and views."""
