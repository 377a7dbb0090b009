"""Geo: cases as points and areas as polygons for whoever opens a PostgreSQL store with PostGIS, as QGIS does.

Jiexun asks nothing of PostGIS and runs without. Where the server offers it and the store's user may install it, opening
the store makes two views. They hold nothing, so that nothing costs more to write.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from dispatcher.case import STATE_ZH
from models.taxonomy import Taxonomy

logger = logging.getLogger(__name__)
EXTENSION = "postgis"
VIEWS = ("cases_geo", "areas_geo")
POINT = "{schema}.ST_SetSRID({schema}.ST_MakePoint(p.lon, p.lat), 4326)::{schema}.geometry(Point, 4326)"
CASES = """CREATE VIEW cases_geo AS
SELECT p.seq, c.id, c.state, s.zh AS state_zh, c.matter, m.zh AS matter_zh, c.area AS owner,
    c.opened_at::timestamptz AS opened_at, (c.document::json ->> 'closed_at')::timestamptz AS closed_at,
    p.first_seen_at::timestamptz AS first_seen_at, p.last_seen_at::timestamptz AS last_seen_at,
    (c.document::json ->> 'probability')::float8 AS probability,
    w.step, w.office, w.due_at::timestamptz AS due_at, {point} AS geom
FROM cases c JOIN case_map p ON p."case" = c.id LEFT JOIN work w ON w."case" = c.id
LEFT JOIN (VALUES {states}) s (code, zh) ON s.code = c.state
LEFT JOIN (VALUES {matters}) m (code, zh) ON m.code = c.matter"""
AREAS = """CREATE VIEW areas_geo AS
SELECT f -> 'properties' ->> 'code' AS code, f -> 'properties' ->> 'name' AS name,
    f -> 'properties' ->> 'layer' AS layer, f -> 'properties' ->> 'parent' AS parent,
    {schema}.ST_SetSRID({schema}.ST_Multi({schema}.ST_GeomFromGeoJSON(f ->> 'geometry')), 4326)
        ::{schema}.geometry(MultiPolygon, 4326) AS geom
FROM kept k CROSS JOIN LATERAL json_array_elements(k.document::json -> 'features') f
WHERE k.name = 'areas' AND f -> 'geometry' ->> 'type' IN ('Polygon', 'MultiPolygon')"""


@dataclass(frozen=True, slots=True)
class Support:
    """What a database has of PostGIS: versions; None where there is none."""

    offered: str | None  # by the server
    installed: str | None  # in this database
    views: bool

    @property
    def lacks(self) -> str | None:
        """What to do for the views; None when they are there."""
        if self.views:
            return None
        if self.installed is not None:
            return "open the store once as a user that may create views"
        if self.offered is not None:
            return "as a superuser of the database: CREATE EXTENSION postgis; then open the store once"
        return "on the database's machine, of its own version: apt-get install postgresql-15-postgis-3"


def support(connection: Connection) -> Support:
    """What there is."""
    query = "SELECT default_version, installed_version FROM pg_available_extensions WHERE name = %(name)s"
    row = connection.exec_driver_sql(query, {"name": EXTENSION}).one_or_none()
    views = connection.exec_driver_sql("SELECT to_regclass('cases_geo') IS NOT NULL").scalar_one()
    offered, installed = (None, None) if row is None else row
    return Support(offered, installed, bool(views))


def make_views(connection: Connection) -> None:
    """Make the views where that can be done, anew when they are of another version. The write lock is held."""
    try:
        with connection.begin_nested():
            schema = _schema(connection)
            if schema is None and support(connection).offered is not None:
                connection.exec_driver_sql(f"CREATE EXTENSION IF NOT EXISTS {EXTENSION}")
                schema = _schema(connection)
            if schema is not None:
                _make(connection, schema)
    except DBAPIError as error:  # no right to: all else works as ever
        logger.info("no views for GIS: %s: %s", str(error.orig).splitlines()[0], support(connection).lacks)


def drop_views(connection: Connection) -> None:
    """A table that a view reads cannot be changed; `make_views` makes them again."""
    connection.exec_driver_sql(f"DROP VIEW IF EXISTS {', '.join(VIEWS)}")


def _schema(connection: Connection) -> str | None:
    """Where PostGIS is in this database, quoted."""
    query = (
        "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
        "WHERE e.extname = %(name)s"
    )
    found: str | None = connection.exec_driver_sql(query, {"name": EXTENSION}).scalar()
    return found


def _make(connection: Connection, schema: str) -> None:
    said = definitions(schema)
    mark = hashlib.sha256("".join(said).encode()).hexdigest()[:16]
    before = connection.exec_driver_sql("SELECT obj_description(to_regclass('cases_geo'), 'pg_class')").scalar_one()
    if before == f"Jiexun {mark}":
        return
    drop_views(connection)
    for one in said:
        connection.exec_driver_sql(one, execution_options={"no_parameters": True})  # a % in a name is a %
    connection.exec_driver_sql(f"COMMENT ON VIEW cases_geo IS 'Jiexun {mark}'")


def definitions(schema: str) -> tuple[str, str]:
    """The two views as statements. Names are those of today's list of matters; `schema` is where PostGIS is."""
    states = _values({str(state): zh for state, zh in STATE_ZH.items()})
    matters = _values({code: matter.name for code, matter in Taxonomy.read().by_code.items()})
    point = POINT.format(schema=schema)
    return CASES.format(point=point, states=states, matters=matters), AREAS.format(schema=schema)


def _values(names: dict[str, str]) -> str:
    return ", ".join(f"({_quoted(code)}, {_quoted(name)})" for code, name in names.items())


def _quoted(text: str) -> str:
    """As a literal. A statement that defines a view takes no parameters."""
    return "'" + text.replace("'", "''") + "'"
