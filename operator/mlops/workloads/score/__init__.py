"""Answers to rows that lie somewhere, by one version of a model: read as an ingest reads, answered as a server does."""
