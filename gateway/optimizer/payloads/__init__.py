"""Stored payloads: samples of streams whose rule allows to keep them in files. Other streams have none."""
