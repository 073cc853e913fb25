"""Statistics of drift: two-sample tests, metrics with intervals, change detection. Pure numpy, no IO, no clock.

Every function gives the same bits for the same inputs: no threaded linear algebra on long vectors, explicit seeds,
and sums over rows taken in a canonical (sorted) order, so that the order of rows does not matter unless a docstring
says that order is time.
"""
