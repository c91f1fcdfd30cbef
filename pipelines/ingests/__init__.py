"""Clips of strangers taken in: a run, or several in chunks and one that gathers them."""
