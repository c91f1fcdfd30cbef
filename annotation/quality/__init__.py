"""Is the work good? Gold and repeats, hidden and marked; who is careless; who is paused."""
