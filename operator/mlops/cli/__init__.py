"""`mlops`: the loop on one machine, and looking at what it holds."""
