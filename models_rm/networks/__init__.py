"""The reward network: what goes into a backbone, how it is computed, and what comes out."""
