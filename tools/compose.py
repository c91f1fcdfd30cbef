"""Reads docker-compose.yml as `docker compose` would, without a Docker engine.

For the check before a deployment, and for starting the same processes natively (tools/stack.py).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml
from dotenv import dotenv_values

ROOT: Final = Path(__file__).resolve().parent.parent
# ${NAME}, ${NAME:-default}, ${NAME:?what to do}; $$ is a dollar sign.
_VARIABLE: Final = re.compile(r"\$\$|\$\{(\w+)(?::([-?])([^{}]*))?\}")


class ComposeError(Exception):
    """The file cannot be used with these variables; one reason a line."""


@dataclass
class Interpolation:
    """Fills in variables and remembers which were missing."""

    variables: Mapping[str, str]
    missing: dict[str, str] = field(default_factory=dict)

    def fill(self, value: Any) -> Any:
        if isinstance(value, str):
            return _VARIABLE.sub(self._one, value)
        if isinstance(value, list):
            return [self.fill(each) for each in value]
        if isinstance(value, dict):
            return {key: self.fill(each) for key, each in value.items()}
        return value

    def _one(self, match: re.Match[str]) -> str:
        name, sign, word = match.groups()
        if name is None:
            return "$"
        if given := self.variables.get(name):
            return given
        if sign == "?":
            self.missing[name] = word
        return word if sign == "-" else ""


def variables_of(path: Path) -> dict[str, str]:
    """What a file like .env sets; comments and quotes as `docker compose` reads them."""
    return {name: value or "" for name, value in dotenv_values(path, interpolate=False).items()}


def raw(path: Path = ROOT / "docker-compose.yml") -> dict[str, Any]:
    """The file with its anchors resolved and its variables as they stand."""
    read: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {key: value for key, value in read.items() if not key.startswith("x-")}


def project(variables: Mapping[str, str]) -> dict[str, Any]:
    """The whole file with these variables; ComposeError names every one that is missing."""
    interpolation = Interpolation(variables)
    filled: dict[str, Any] = interpolation.fill(raw())
    if interpolation.missing:
        raise ComposeError("\n".join(interpolation.missing.values()))
    return filled
