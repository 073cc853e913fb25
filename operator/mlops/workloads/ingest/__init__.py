"""Ingest: from a source to one version of a Dataset, in bounded memory and with the same bits everywhere."""
