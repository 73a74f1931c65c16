"""Who is there and what goes to whom. Synchronous: knows no socket, no event loop and no WebSocket library."""
