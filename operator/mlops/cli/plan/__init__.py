"""`mlops plan`: what `mlops run` would do now, found out by the same planners on a copy."""
