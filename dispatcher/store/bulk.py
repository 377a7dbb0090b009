"""Bulk: many rows in one statement where the database can, for a fraction of what a statement a row costs.

PostgreSQL takes new rows by COPY, for a third to a half of what one JSON document costs here and there, and what is
changed or removed as that document; SQLite, which is called and not sent anything, takes one after another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    String,
    Table,
    TableValuedAlias,
    Text,
    and_,
    any_,
    bindparam,
    cast,
    column,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

Rows = Sequence[Mapping[str, Any]]  # all with the same names, which are columns of the table
NUMBER = "row_number"
PAGE = 1000  # values asked for in one statement
More = Callable[[Any], dict[str, Any]]


def rows_with(
    connection: Connection, query: Select[Any], column: ColumnElement[Any], values: Sequence[Any]
) -> Iterator[Row[Any]]:
    """The rows of a query that have one of these values in a column."""
    for start in range(0, len(values), PAGE):
        yield from connection.execute(query.where(one_of(connection, column, values[start : start + PAGE])))


def one_of(connection: Connection, column: ColumnElement[Any], values: Sequence[Any]) -> ColumnElement[bool]:
    """The condition that a column has one of these values.

    PostgreSQL gets them as one array: a statement whose text does not depend on how many there are is planned once, and
    writing out each of 500 places costs here as much as finding their rows costs there.
    """
    if _one_by_one(connection):
        return column.in_(values)
    return column == any_(bindparam(None, list(values), type_=postgresql.ARRAY(column.type), unique=True))


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Add rows; their automatic numbers follow the order of the rows."""
    if not rows:
        return
    if _one_by_one(connection):
        connection.execute(insert(table), [dict(row) for row in rows])
        return
    _copy(connection, table, rows)


def upsert_rows(connection: Connection, table: Table, rows: Rows, keys: Sequence[str], more: More) -> None:
    """Add rows, each with other keys; where a key is stored, `more` tells from what was given what is changed."""
    if not rows:
        return
    index = [table.c[key] for key in keys]
    if _one_by_one(connection):
        one = sqlite.insert(table)
        connection.execute(
            one.on_conflict_do_update(index_elements=index, set_=more(one.excluded)), [dict(row) for row in rows]
        )
        return
    new = postgresql.insert(table).from_select([*rows[0]], _in_order(_given(table, rows), rows))
    connection.execute(new.on_conflict_do_update(index_elements=index, set_=more(new.excluded)), _document(rows))


def update_rows(connection: Connection, table: Table, rows: Rows, keys: Sequence[str]) -> None:
    """Give the rows with these keys the other values."""
    if not rows:
        return
    names = [name for name in rows[0] if name not in keys]
    if _one_by_one(connection):
        one = update(table).where(_same(table, {key: bindparam(f"its_{key}") for key in keys}))
        values = [{(f"its_{name}" if name in keys else name): value for name, value in row.items()} for row in rows]
        connection.execute(one.values({name: bindparam(name) for name in names}), values)
        return
    given = _given(table, rows)
    one = update(table).where(_same(table, {key: given.c[key] for key in keys}))
    connection.execute(one.values({name: given.c[name] for name in names}), _document(rows))


def delete_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Remove the rows that have just these values in these columns."""
    if not rows:
        return
    if _one_by_one(connection):
        one = delete(table).where(_same(table, {name: bindparam(f"its_{name}") for name in rows[0]}))
        connection.execute(one, [{f"its_{name}": value for name, value in row.items()} for row in rows])
        return
    given = _given(table, rows)
    connection.execute(delete(table).where(_same(table, {name: given.c[name] for name in rows[0]})), _document(rows))


def _one_by_one(connection: Connection) -> bool:
    return connection.dialect.name != "postgresql"


def _copy(connection: Connection, table: Table, rows: Rows) -> None:
    """By the driver, which SQLAlchemy has no words for; what it raises is what SQLAlchemy would have raised."""
    quoted = connection.dialect.identifier_preparer.quote
    names = list(rows[0])
    statement = f"COPY {quoted(table.name)} ({', '.join(map(quoted, names))}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    raised: Any = connection.dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row([row[name] for name in names])
    except raised as error:
        raise DBAPIError.instance(statement, None, error, raised, dialect=connection.dialect) from error


def _given(table: Table, rows: Rows) -> TableValuedAlias:
    """The rows as a table, numbered."""
    # As text: a cast to VARCHAR(32) would cut what is longer, where the column refuses it.
    types = {n: Text() if isinstance(table.c[n].type, String) else table.c[n].type for n in rows[0]}
    named = [column(name, kind) for name, kind in types.items()]
    sent = cast(bindparam("rows", type_=Text()), postgresql.JSON)
    listed = func.json_to_recordset(sent).table_valued(*named, column(NUMBER, Integer()), name="given")
    return listed.render_derived(with_types=True)


def _in_order(given: TableValuedAlias, rows: Rows) -> Any:
    return select(*(given.c[name] for name in rows[0])).order_by(given.c[NUMBER])


def _document(rows: Rows) -> dict[str, str]:
    numbered = [{**row, NUMBER: number} for number, row in enumerate(rows)]
    return {"rows": json.dumps(numbered, ensure_ascii=False, allow_nan=False)}


def _same(table: Table, values: Mapping[str, Any]) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in values.items()))
