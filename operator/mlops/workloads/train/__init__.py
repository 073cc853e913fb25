"""Training: rows by digest in, a model artifact and its metrics out."""
