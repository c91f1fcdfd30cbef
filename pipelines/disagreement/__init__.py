"""Where people and a reward model disagree: ranked, shown, and sent back to people."""
