"""Rows of a query to a database: one snapshot, read only, in bounded memory, typed exactly."""
