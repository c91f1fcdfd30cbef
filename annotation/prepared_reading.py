"""The cursor whose SELECTs PostgreSQL plans once per connection (annotation/statements.py)."""

from typing import Any

import psycopg


class PreparedReading(psycopg.Cursor[Any]):
    """Keeps the text of what is prepared already, which Django's log of statements asks for."""

    def _send_query_prepared(self, name: bytes, pgq: Any, **options: Any) -> None:
        self._query = pgq
        super()._send_query_prepared(name, pgq, **options)
