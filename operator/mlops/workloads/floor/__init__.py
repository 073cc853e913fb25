"""What the programs of the pods stand on: the job contract, logs, expressions, recorded rows, models, isolation."""
