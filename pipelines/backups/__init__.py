"""Backups of the whole site, and restoring them (RELIABILITY D3, docs/operations.md).

TARGET/files/<aa>/<sha256>      each content once, shared by all snapshots
TARGET/snapshots/<time>/        database, files.jsonl (what lay where), backup.json (written last)
TARGET/tombstones.jsonl         who was erased; newer than any snapshot (annotation.tombstones)
"""
