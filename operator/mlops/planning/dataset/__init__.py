"""Dataset: when to read its source, and what each result means for its version."""
