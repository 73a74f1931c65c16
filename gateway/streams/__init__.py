"""Streams: kind, epoch, offsets, history and newest state of each. Knows no connections."""
