"""What people said, as what a training and an examination work on."""
