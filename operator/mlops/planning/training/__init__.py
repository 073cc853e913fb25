"""TrainingRun: runs on pinned inputs, and the templates that make them."""
