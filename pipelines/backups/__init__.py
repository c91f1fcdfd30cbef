"""Backups of the whole site, and restoring them (RELIABILITY D3, docs/operations.md).

In the folder of backups: `files/<aa>/<sha256>` has each content once, for all backups; in
`backups/<time>/` are the database, files.jsonl (what lay where) and backup.json (written last);
`tombstones.jsonl` (annotation.accounts.tombstones) says who was erased and is newer than any.
"""
