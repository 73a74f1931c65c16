"""Publishes: batches, codecs, chunks, retries."""
