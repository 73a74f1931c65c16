"""Delivery latency: time from the publish of a message until its last byte leaves for a receiver, by samples."""
