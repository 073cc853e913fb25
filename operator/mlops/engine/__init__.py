"""The loop that runs every planner: keyed queue, gather, plan, carry out; no IO of its own."""
