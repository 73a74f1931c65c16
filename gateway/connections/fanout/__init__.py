"""One stream to its receivers: each message is encoded once for each delivery class."""
