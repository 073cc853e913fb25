"""DriftMonitor: checks by schedule, what their verdicts call for, and what came of it."""
