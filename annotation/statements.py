"""SQL by hand for the two doors that every vote goes through, and for nothing else.

A queryset is compiled anew for each request, which costs more than the database does. Here the text
of a statement is made once, from the models, so that a new column needs no change. PostgreSQL
plans what is read once per connection, and gets what is written together in one message; SQLite
runs the same text one by one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Any, Final, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection, connections, models
from django.db.backends.utils import CursorWrapper
from django.db.models.expressions import Col

Row = Sequence[Any]
M = TypeVar("M", bound=models.Model)


@dataclass(frozen=True, slots=True)
class Statement:
    sql: str
    params: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Sql:
    """A value that the database works out itself, such as `epoch + 1`."""

    text: str
    params: tuple[Any, ...] = ()


def run(*statements: Statement) -> None:
    """Write, in order; PostgreSQL gets all in one message."""
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            for each in statements:
                cursor.execute(each.sql, each.params)
            return
        sql = ";\n".join(each.sql for each in statements)
        cursor.execute(sql, [value for each in statements for value in each.params])


def read(sql: str, *params: Any) -> list[Row]:
    """The rows of a SELECT. PostgreSQL plans it once per connection: planning costs most of it."""
    with _reading_cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[Row] = cursor.fetchall()
        return rows


def _reading_cursor() -> CursorWrapper:
    if connection.vendor != "postgresql":
        return connection.cursor()
    from annotation.prepared_reading import PreparedReading  # SQLite needs none of its library

    database: Any = connections[DEFAULT_DB_ALIAS]
    database.close_if_health_check_failed()
    database.ensure_connection()
    # Django's own cursors put the values into the text, and such a text cannot be prepared.
    wrapped: CursorWrapper = database._prepare_cursor(PreparedReading(database.connection))
    return wrapped


# What the engines say differently.


def locking(clause: str) -> str:
    """A locking clause of PostgreSQL; a transaction of SQLite is the only writer already."""
    return clause if connection.vendor == "postgresql" else ""


def clock() -> str:
    """The database's time, also after a wait for a lock."""
    if connection.vendor == "postgresql":
        return "CLOCK_TIMESTAMP()"
    return "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')"


def json_rows(model: type[models.Model], alias: str, where: str) -> str:
    """A subquery: all rows of a small table as one JSON text, a list per row."""
    fields = model._meta.concrete_fields
    of_text = connection.vendor != "postgresql"
    columns = ", ".join(
        f'json({alias}."{each.column}")'
        if of_text and isinstance(each, models.JSONField)
        else f'{alias}."{each.column}"'
        for each in fields
    )
    rows = (
        f"json_group_array(json_array({columns}))"
        if of_text
        else f"json_agg(json_build_array({columns}))::text"
    )
    return f"(SELECT {rows} FROM {model._meta.db_table} {alias} WHERE {where})"


class Columns(Generic[M]):
    """Columns of a table in a SELECT, and the way back from a row to an instance."""

    def __init__(self, model: type[M], alias: str, *names: str):
        every = model._meta.concrete_fields
        self.model = model
        self.fields = [each for each in every if not names or each.attname in names]
        self.names = [each.attname for each in self.fields]
        self.sql = ", ".join(f'{alias}."{each.column}"' for each in self.fields)
        self._alias = alias

    def __len__(self) -> int:
        return len(self.fields)

    def read(self, row: Row, at: int) -> M:
        """The instance whose columns begin at this place of the row."""
        values = list(row[at : at + len(self.fields)])
        for place, converters in self._converters:
            for convert in converters:
                values[place] = convert(values[place])
        return self.model.from_db("default", self.names, values)

    @cached_property
    def _converters(self) -> list[tuple[int, list[Callable[[Any], Any]]]]:
        found = []
        for place, each in enumerate(self.fields):
            expression = each.get_col(self._alias)
            given = [
                *connection.ops.get_db_converters(expression),
                *expression.get_db_converters(connection),
            ]
            if given:
                found.append((place, [_bound(convert, expression) for convert in given]))
        return found


def _bound(convert: Callable[..., Any], expression: Col) -> Callable[[Any], Any]:
    return lambda value: convert(value, expression, connection)


_CLOCK: Final = Col("", models.DateTimeField())


def read_time(value: Any) -> datetime:
    """What `clock()` gave, as a datetime."""
    for convert in connection.ops.get_db_converters(_CLOCK):
        value = convert(value, _CLOCK, connection)
    moment: datetime = value
    return moment


# Writing.


def prepared(model: type[models.Model], name: str, value: Any) -> Any:
    """A value as this engine stores it in this column."""
    convert = _column(model, name)[1]
    return value if convert is None else convert(value, connection)


@cache
def _column(model: type[models.Model], name: str) -> tuple[str, Callable[[Any, Any], Any] | None]:
    """The quoted name of a column, and how its values get their form."""
    field = model._meta.get_field(name)
    if not isinstance(field, models.Field):
        raise TypeError(f"{name} is no column of {model.__name__}")
    return f'"{field.column}"', _conversion(field)


def insertion(rows: Sequence[models.Model], then: str = "") -> Statement:
    """INSERT of instances of one model. `then`: what to do on a conflict."""
    table = _inserted(type(rows[0]))
    values = tuple(
        value if convert is None else convert(value, connection)
        for row in rows
        for name, convert in table.columns
        for value in (getattr(row, name),)
    )
    return Statement(f"{table.text} {', '.join([table.places] * len(rows))} {then}", values)


@dataclass(frozen=True, slots=True)
class _Inserted:
    """What does not change between two INSERTs into a table."""

    text: str
    places: str
    columns: tuple[tuple[str, Callable[[Any, Any], Any] | None], ...]


@cache
def _inserted(model: type[models.Model]) -> _Inserted:
    meta = model._meta
    fields = [each for each in meta.concrete_fields if not isinstance(each, models.AutoField)]
    columns = ", ".join(f'"{each.column}"' for each in fields)
    return _Inserted(
        text=f"INSERT INTO {meta.db_table} ({columns}) VALUES",
        places="(" + ", ".join(["%s"] * len(fields)) + ")",
        columns=tuple((each.attname, _conversion(each)) for each in fields),
    )


def _conversion(field: "models.Field[Any, Any]") -> Callable[[Any, Any], Any] | None:
    """How a value gets its form for the engine; the driver of PostgreSQL knows Python's types."""
    known = connection.vendor == "postgresql" and not isinstance(field, models.JSONField)
    return None if known else field.get_db_prep_save


def change(
    model: type[models.Model], values: Mapping[str, Any], where: Mapping[str, Any]
) -> Statement:
    """UPDATE of the rows for which all of `where` is equal."""
    given: list[Any] = []
    sets = ", ".join(_assigned(model, *item, given) for item in values.items())
    which = " AND ".join(_equal(model, *item, given) for item in where.items())
    return Statement(f"UPDATE {model._meta.db_table} SET {sets} WHERE {which}", tuple(given))


def _assigned(model: type[models.Model], name: str, value: Any, given: list[Any]) -> str:
    column = _column(model, name)[0]
    if isinstance(value, Sql):
        given.extend(value.params)
        return f"{column} = {value.text}"
    given.append(prepared(model, name, value))
    return f"{column} = %s"


def _equal(model: type[models.Model], name: str, value: Any, given: list[Any]) -> str:
    given.append(prepared(model, name, value))
    return f"{_column(model, name)[0]} = %s"
