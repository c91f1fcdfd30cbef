"""What production refuses to start with, each with its reason (RELIABILITY S1)."""

import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

_LONG: Final = 50
_SALT: Final = 32
_DIFFERENT: Final = 10  # letters: `x` fifty times is no secret
_KNOWN: Final = ("development-only", "django-insecure", "change-me", "changeme", "secret")
_ROOTS: Final = {"postgres", "root", "admin", "sa", ""}


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the settings have read of the environment."""

    debug: bool
    secret_key: str
    salt: str
    hosts: Sequence[str]
    origins: Sequence[str]
    database: str
    redis: Mapping[str, str]  # the URLs by the names of their variables
    secret_files: Mapping[str, str]  # the paths by the names of their variables


def faults(given: Deployment) -> list[str]:
    """Everything that is unsafe, as sentences; empty if the site may start."""
    return [
        *_of_secrets(given),
        *_of_the_door(given),
        *_of_the_database(given.database),
        *(fault for name, url in given.redis.items() for fault in _of_redis(name, url)),
        *(
            fault
            for name, path in given.secret_files.items()
            if path
            for fault in _of_file(name, path)
        ),
    ]


def _of_secrets(given: Deployment) -> Iterator[str]:
    if len(given.secret_key) < _LONG:
        yield f"SECRET_KEY must have at least {_LONG} characters"
    elif _is_guessable(given.secret_key):
        yield "SECRET_KEY is a default or repeats itself; `make secrets` prints random ones"
    if len(given.salt) < _SALT or _is_guessable(given.salt):
        yield (
            f"TIEBREAK_PSEUDONYM_SALT must have at least {_SALT} random characters;"
            " `make secrets` prints them"
        )
    elif given.salt == given.secret_key:
        yield "TIEBREAK_PSEUDONYM_SALT must not be SECRET_KEY, which you will want to change"


def _is_guessable(secret: str) -> bool:
    return len(set(secret)) < _DIFFERENT or secret.lower().startswith(_KNOWN)


def _of_the_door(given: Deployment) -> Iterator[str]:
    if given.debug:
        yield "TIEBREAK_DEBUG must be off"
    if not given.hosts or "*" in given.hosts:
        yield "ALLOWED_HOSTS must name the hosts, without *"
    for origin in given.origins:
        if not origin.startswith("https://"):
            yield f"CSRF_TRUSTED_ORIGINS has {origin!r}; expected https://host"


def _of_the_database(url: str) -> Iterator[str]:
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        yield "DATABASE_URL must name a PostgreSQL database"
    elif (parts.username or "") in _ROOTS:
        yield (
            f"DATABASE_URL logs in as {parts.username or 'nobody'!r};"
            " expected a role of its own without the rights of a superuser"
        )


def _of_redis(name: str, url: str) -> Iterator[str]:
    parts = urlsplit(url)
    over_network = parts.scheme in {"redis", "rediss", "rediscache"} and parts.hostname
    if over_network and not parts.password:
        yield f"{name} reaches Redis without a password; expected redis://:PASSWORD@host:6379/0"


def _of_file(name: str, path: str) -> Iterator[str]:
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        yield f"{name} names {path}, which cannot be read: {error.strerror}"
        return
    if mode & stat.S_IRWXO:
        yield f"{name} names {path}, which everybody may read; `chmod 600` it"
