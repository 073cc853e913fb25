"""`mlops approve`: a person's word that a version may serve in a stage."""
