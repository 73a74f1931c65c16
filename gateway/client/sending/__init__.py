"""Sending of messages: batches, codecs, chunks, retries."""
