"""The verifying pod's program."""
