"""Human re-tests: blind campaigns on clips of two sides, counted when people have voted."""
