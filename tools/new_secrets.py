"""Random values for the secrets of .env: `python -m tools.new_secrets`."""

import secrets

NAMES = (
    "SECRET_KEY",
    "TIEBREAK_PSEUDONYM_SALT",
    "POSTGRES_PASSWORD",
    "POSTGRES_SUPERUSER_PASSWORD",
    "REDIS_PASSWORD",
    "MEDIA_S3_ACCESS_KEY",
    "MEDIA_S3_SECRET_KEY",
)


def fresh() -> dict[str, str]:
    """One each. Letters, digits, - and _ alone: they stand in URLs and in shell scripts."""
    return {
        name: secrets.token_urlsafe(15 if name.endswith("ACCESS_KEY") else 48) for name in NAMES
    }


if __name__ == "__main__":
    print("\n".join(f"{name}={value}" for name, value in fresh().items()))
