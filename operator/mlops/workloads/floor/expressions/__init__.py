"""SQL expressions over one row: what they may say, how long their results become, and their values."""
