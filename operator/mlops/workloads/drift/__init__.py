"""The drift check: what a served model saw against what it was trained on, a verdict, and a report."""
