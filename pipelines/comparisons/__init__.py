"""Trainings that differ in settings, side by side, with the rule that marks one of them best."""
