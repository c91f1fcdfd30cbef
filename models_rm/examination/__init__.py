"""A reward model held against people and probes: its figures and alarms."""
