"""ModelVersion: all versions of one model, what serves them, and what is on record of them."""
