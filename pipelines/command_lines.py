"""What commands that start runs read from their arguments; a mistake is a CommandError."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandError

from formats.records import PromptRecord
from pipelines.models import Artifact, BaseModel, Run
from pipelines.starting import Source

INPUT: str = "ROLE=artifact:ID|base:NAME|run:ID|prompts:FILE"


def inputs_of(words: Iterable[str]) -> tuple[dict[str, Source], dict[str, list[PromptRecord]]]:
    """`role=artifact:7` …: rows by role, and the prompts of files by role."""
    sources: dict[str, Source] = {}
    files: dict[str, list[PromptRecord]] = {}
    for word in words:
        role, text = _split(word)
        if text.startswith("prompts:"):
            files[role] = PromptRecord.read(Path(text.removeprefix("prompts:")))
        else:
            sources[role] = _source(text)
    return sources, files


def config_in(file: Path) -> Any:
    """The JSON of a config file; a mistake is named with its line."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{file}: not UTF-8 text at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise CommandError(f"{file}:{error.lineno}: not JSON: {error.msg}") from error


def user_named(name: str | None) -> Any:
    if name is None:
        return None
    user = get_user_model().objects.filter(username=name).first()
    if user is None:
        raise CommandError(f"there is no user {name!r}")
    return user


def _split(text: str) -> tuple[str, str]:
    role, equals, source = text.partition("=")
    if not equals:
        raise CommandError(f"--input must look like role=artifact:7, got {text!r}")
    return role, source


def _source(text: str) -> Source:
    word, _, value = text.partition(":")
    found: Source | None = None
    if word == "base":
        found = BaseModel.objects.filter(name=value).first()
    elif word in {"artifact", "run"} and value.isdigit():
        table: type[Artifact] | type[Run] = Artifact if word == "artifact" else Run
        found = table._default_manager.filter(pk=int(value)).first()
    else:
        raise CommandError(
            f"an input is artifact:ID, base:NAME, run:ID or prompts:FILE, not {text!r}"
        )
    if found is None:
        raise CommandError(f"there is no {word} {value!r}")
    return found
