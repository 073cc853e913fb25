"""`mlops check`: the checks of a drift pod on two files."""
