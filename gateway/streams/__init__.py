"""What a stream remembers: its kind, epoch, offsets and newest state. Knows nothing of who is connected."""
