"""Hub: subscriptions of clients to streams, to patterns and to views."""
