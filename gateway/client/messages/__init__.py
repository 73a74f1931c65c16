"""Messages as the program receives them, and the bounded queues that hold them for it."""
