"""`mlops predict`: rows answered by a model, as its server answers them."""
