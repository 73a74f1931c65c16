"""Request/reply: requests to clients and groups, and the replies to them."""
