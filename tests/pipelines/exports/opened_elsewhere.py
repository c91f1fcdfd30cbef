"""Exports opened by the tools they are for: a child of test_exports_open_elsewhere.

    python -m tests.pipelines.exports.opened_elsewhere HF_FOLDER TRL_FILE CACHE

In a process of its own, because these tools bring torch, threads and warnings; without a network.
"""

import json
import socket
import sys
from typing import Any


def _no_network(*_: Any, **__: Any) -> None:
    raise OSError("this test has no network")


def main(folder: str, file: str, cache: str) -> None:
    socket.socket.connect = _no_network  # type: ignore[method-assign, assignment]
    from datasets import load_dataset

    opened = load_dataset(folder, cache_dir=cache)
    splits = {name: [dict(row) for row in rows] for name, rows in opened.items()}
    preferences = load_dataset("json", data_files=file, split="train", cache_dir=cache)
    found = {
        "splits": splits,
        "columns": {name: rows.column_names for name, rows in opened.items()},
        "trl": _as_trl_sees(preferences),
    }
    json.dump(found, sys.stdout)


def _as_trl_sees(rows: Any) -> dict[str, Any]:
    """TRL's own functions: which kind of row, whether its keys are a preference, and unpaired."""
    from trl.data_utils import apply_chat_template, is_conversational, unpair_preference_dataset

    keys = {}
    for name, row in _variants(dict(rows[0])).items():
        try:
            apply_chat_template(_as_messages(row), _Template())
            keys[name] = ""
        except KeyError as error:
            keys[name] = str(error)
    kept = rows.select_columns(["prompt", "chosen", "rejected"])
    unpaired = unpair_preference_dataset(kept)
    return {
        "rows": len(rows),
        "conversational": is_conversational(rows[0]),
        "keys": keys,
        "unpaired": [dict(row) for row in unpaired],
    }


def _variants(row: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The row as it is, and two that TRL must refuse: so that its check is one."""
    without = {key: value for key, value in row.items() if key != "rejected"}
    return {"ours": row, "without rejected": without, "with a label": {**row, "label": True}}


def _as_messages(row: dict[str, Any]) -> dict[str, Any]:
    """The check of keys belongs to rows of messages; the keys stay what they are."""
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    talk = {key: [{"role": role, "content": row[key]}] for key, role in roles.items() if key in row}
    return {**row, **talk}


class _Template:
    """Of a tokenizer, the one thing that TRL asks for here."""

    def apply_chat_template(self, messages: list[dict[str, str]], **_: Any) -> str:
        return "".join(f"<{each['role']}>{each['content']}" for each in messages)


if __name__ == "__main__":
    main(*sys.argv[1:])
