"""Access control: authentication of clients, and the permissions of each."""
