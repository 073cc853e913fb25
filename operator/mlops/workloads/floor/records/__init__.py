"""What servers recorded of a model, read back by one rule: for drift checks and for captured Datasets."""
