"""What pages show of reward models: read from what an examination left, never from torch."""
