"""One dashboard behind a slow line among many that are not: what the others notice, and how old its states are."""
