"""Snapshots in the formats of other tools: streamed, resumable, hashed (docs/exporting.md)."""
