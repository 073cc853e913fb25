"""Keeps machine-learning models right after the day they were trained."""
