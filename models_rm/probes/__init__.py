"""Questions with known answers, asked of every reward model (ML.md R7)."""
