"""The way out to one connection: its queue, its flow control, its bytes."""
