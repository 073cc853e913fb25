"""One pure planner per kind: a View of what is goes in, a Plan of what should be comes out. No IO, no clock."""
