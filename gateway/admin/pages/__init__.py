"""Files that pages are made of."""
