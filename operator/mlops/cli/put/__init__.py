"""`mlops put`: files delivered to the buckets that Datasets read."""
