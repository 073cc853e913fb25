"""`mlops simulate`: what another policy would have done with recorded history."""
