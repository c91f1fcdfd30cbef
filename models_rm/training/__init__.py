"""A training from its materials to the model folder that it leaves."""
