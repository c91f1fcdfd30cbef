"""Runs and commands that score clips with the public door `models_rm.scoring`."""
