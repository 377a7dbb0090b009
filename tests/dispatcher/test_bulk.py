"""Many rows in one statement: the same on both stores as one by one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Float, Integer, MetaData, String, Table, Text, create_engine, insert, select
from sqlalchemy.exc import DataError

from dispatcher.store.bulk import delete_rows, insert_rows, update_rows, upsert_rows

metadata = MetaData()
things = Table(
    "things",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("case", Text, nullable=False, unique=True),
    Column("at", String(8)),
    Column("lat", Float),
    Column("told", Integer, nullable=False),
)
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
rows_of_things = st.lists(
    st.fixed_dictionaries(
        {
            "case": words,
            "at": st.none() | words,
            "lat": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "told": st.integers(-(2**31), 2**31 - 1),
        }
    ),
    unique_by=lambda row: row["case"],
    max_size=12,
)


@pytest.fixture
def connection(store_url: str) -> Iterator[Connection]:
    engine = create_engine(store_url.replace("postgresql://", "postgresql+psycopg://"))
    metadata.create_all(engine)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def stored(connection: Connection) -> list[tuple[object, ...]]:
    columns = (things.c.case, things.c.at, things.c.lat, things.c.told)
    return [tuple(row) for row in connection.execute(select(*columns).order_by(things.c.seq))]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows_of_things)
def test_what_goes_in_comes_out_in_order_and_can_be_changed_and_removed(
    connection: Connection, rows: list[dict[str, object]]
) -> None:
    connection.rollback()
    insert_rows(connection, things, rows)
    assert stored(connection) == [(row["case"], row["at"], row["lat"], row["told"]) for row in rows]
    update_rows(connection, things, [{"case": row["case"], "told": 7, "lat": None} for row in rows], ["case"])
    assert stored(connection) == [(row["case"], row["at"], None, 7) for row in rows]
    delete_rows(connection, things, [{"case": row["case"], "told": 7} for row in rows[::2]])
    assert [row[0] for row in stored(connection)] == [row["case"] for row in rows[1::2]]


def test_a_stored_key_is_changed_and_a_new_one_added(connection: Connection) -> None:
    insert_rows(connection, things, [{"case": "a", "told": 1}, {"case": "b", "told": 2}])
    given = [{"case": "b", "told": 10}, {"case": "暴露垃圾 'c\"", "told": 30}]
    upsert_rows(connection, things, given, ["case"], lambda new: {"told": things.c.told + new.told})
    assert [(row[0], row[3]) for row in stored(connection)] == [("a", 1), ("b", 12), ("暴露垃圾 'c\"", 30)]


def test_rows_of_other_keys_stay_and_nothing_is_nothing(connection: Connection) -> None:
    connection.execute(insert(things).values(case="a", told=1))
    for empty in (insert_rows, delete_rows):
        empty(connection, things, [])
    update_rows(connection, things, [], ["case"])
    update_rows(connection, things, [{"case": "b", "told": 9}], ["case"])
    delete_rows(connection, things, [{"case": "b"}])
    assert [(row[0], row[3]) for row in stored(connection)] == [("a", 1)]


def test_what_is_too_long_for_its_column_is_never_cut(connection: Connection) -> None:
    row = {"case": "a", "told": 1, "at": "2026-11-27"}
    if connection.dialect.name == "sqlite":  # has no lengths
        insert_rows(connection, things, [row])
        assert stored(connection)[0][1] == "2026-11-27"
    else:
        with pytest.raises(DataError, match="too long"):
            insert_rows(connection, things, [row])
