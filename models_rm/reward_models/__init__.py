"""A reward model as a whole: its folder, its card, its parts, and clips sent through it."""
