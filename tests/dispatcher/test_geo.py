"""Views for GIS programs, on a real PostgreSQL: with PostGIS, and where it may not be installed or is not there."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from postgres import create_database

from dispatcher.case import STATE_ZH
from dispatcher.store import geo
from dispatcher.store.database import looked_at
from dispatcher.store.store import Store
from jiexun.doctor import doctor_report
from jiexun.settings import Settings
from models.taxonomy import Taxonomy

AREAS = '{"type":"FeatureCollection","features":[%s]}'
SQUARE = (
    '{"type":"Feature","properties":{"code":"440304008001","name":"榕荫社区","layer":"community","parent":null},'
    '"geometry":{"type":"Polygon","coordinates":[[[114.05,22.54],[114.06,22.54],[114.06,22.55],[114.05,22.54]]]}}'
)


@pytest.fixture
def database(postgresql: str) -> str:
    """Empty, on a server that offers PostGIS."""
    url = f"{postgresql}/{create_database(postgresql)}"
    if looked_at(url).offered is None:
        why = "NO POSTGIS, ITS VIEWS NOT TESTED: install postgresql-15-postgis-3"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    return url


def asked(url: str, query: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchall()  # type: ignore[call-overload]  # ours


def test_cases_are_points_and_areas_polygons(database: str, make_event) -> None:
    event = make_event()
    with Store.open(database) as store:
        store.append([], [event])
        store.keep_areas(AREAS % SQUARE)
    case = event.case
    named = Taxonomy.read().by_code[case.matter].name
    assert asked(database, "select id, state, state_zh, matter, matter_zh, owner, opened_at from cases_geo") == [
        (case.id, str(case.state), STATE_ZH[case.state], case.matter, named, case.owners[0].area, case.opened_at)
    ]
    assert asked(database, "select ST_X(geom), ST_Y(geom), ST_SRID(geom) from cases_geo") == [
        (case.lon, case.lat, 4326)
    ]
    assert asked(database, "select code, name, ST_Area(geom) > 0 from areas_geo") == [
        ("440304008001", "榕荫社区", True)
    ]
    kinds = "select f_table_name, srid, type from geometry_columns order by 1"  # what QGIS looks at
    assert asked(database, kinds) == [("areas_geo", 4326, "MULTIPOLYGON"), ("cases_geo", 4326, "POINT")]


def test_views_stay_as_they_are_and_are_made_anew_in_another_version(database: str, make_event, monkeypatch) -> None:
    with Store.open(database) as store:
        store.append([], [make_event()])
        assert all(table.changed == 0 for table in store.rebuild().tables.values())
    mark = "select obj_description('cases_geo'::regclass), 'cases_geo'::regclass::oid::bigint"
    before = asked(database, mark)
    Store.open(database).close()
    assert asked(database, mark) == before
    monkeypatch.setattr(geo, "STATE_ZH", {"open": "待办 100%"})
    Store.open(database).close()
    assert asked(database, mark) != before
    assert asked(database, "select state_zh from cases_geo") == [("待办 100%",)]


def test_a_dump_with_the_views_is_restored(database: str, postgresql: str, make_event, tmp_path: Path) -> None:
    with Store.open(database) as store:
        store.append([], [make_event()])
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    dump = str(programs[-1] / "pg_dump") if programs else shutil.which("pg_dump")
    if dump is None:
        why = "NO pg_dump, A DUMP NOT RESTORED: install postgresql-client"
        pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
    made = f"{postgresql}/{create_database(postgresql)}"
    subprocess.run([dump, "--format=custom", f"--file={tmp_path / 'dump'}", database], check=True)
    subprocess.run([dump.replace("pg_dump", "pg_restore"), f"--dbname={made}", str(tmp_path / "dump")], check=True)
    with Store.open(made) as store:
        assert store.last_event() == 1
    assert asked(made, "select count(*) from cases_geo where geom is not null") == [(1,)]


@pytest.fixture
def humble(database: str) -> Iterator[str]:
    """The same, as a user that owns the database and may install nothing."""
    at, name = urlsplit(database), f"humble_{secrets.token_hex(4)}"
    asked_for = f"create role {name} login password '{name}'; alter database {at.path[1:]} owner to {name}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(asked_for)  # type: ignore[call-overload]  # ours
    yield f"postgresql://{name}:{name}@{at.hostname}:{at.port}{at.path}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"reassign owned by {name} to current_user; drop owned by {name}; drop role {name}")  # type: ignore[call-overload]  # ours


def test_a_user_who_may_install_nothing_has_a_store(humble: str, database: str, make_event, caplog) -> None:
    caplog.set_level("INFO", "dispatcher.store.geo")
    with Store.open(humble) as store:
        store.append([], [make_event()])
        assert store.cases().total == 1
    assert "no views for GIS: permission denied to create extension" in caplog.text
    found = looked_at(humble)
    assert found.installed is None
    assert not found.views
    views = next(one for one in doctor_report(Settings(store=humble))["checks"] if one["name"] == "views for GIS")
    assert not views["ok"]
    assert not views["required"]
    assert "CREATE EXTENSION postgis" in views["remedy"]
    with psycopg.connect(database) as superuser:  # does as it was told
        superuser.execute("create extension postgis")
    Store.open(humble).close()
    assert asked(humble, "select count(*) from cases_geo") == [(1,)]


def test_a_server_without_postgis_has_a_store(postgresql: str, make_event, monkeypatch) -> None:
    monkeypatch.setattr(geo, "EXTENSION", "postgis_that_nobody_offers")
    url = f"{postgresql}/{create_database(postgresql)}"
    with Store.open(url) as store:
        store.append([], [make_event()])
        assert store.cases().total == 1
    assert looked_at(url) == geo.Support(None, None, views=False)
    assert "apt-get install" in str(looked_at(url).lacks)
