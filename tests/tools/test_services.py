"""The servers that the test command starts are real and go away."""

import psycopg
import pytest
import redis as redis_client

from tools.services import redis


@pytest.mark.postgres
def test_postgres_is_a_real_server(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("select version()").fetchone()
    assert row is not None
    assert row[0].startswith("PostgreSQL ")


@pytest.mark.redis
def test_redis_answers_and_goes_away() -> None:
    with redis() as url:
        client = redis_client.Redis.from_url(url)
        assert client.ping() is True
        client.close()
    with pytest.raises(redis_client.ConnectionError):
        redis_client.Redis.from_url(url).ping()
