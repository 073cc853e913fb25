"""`mlops history`, `verify` and `rollback`: what is on record of a model, whether it is whole, and the way back."""
