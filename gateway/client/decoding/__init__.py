"""Payloads taken out of frames, in order."""
