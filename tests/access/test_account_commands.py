"""`jiexun users`, `keys`, `settings`, `backup` and `restore`, as they are typed; and a console that they open."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from futian import NOON, WEST
from passwords import PASSWORD
from typer.testing import CliRunner

from dispatcher.access.principal import Role
from dispatcher.api.serve import serve
from dispatcher.store.backup import back_up
from dispatcher.store.store import Store
from jiexun.accounts import console_app
from jiexun.cli import app
from jiexun.settings import Settings
from jiexun.upkeep import shown
from vision.pictures import FolderEvidence
from vision.sighting import Evidence

JIEXUN = Path(sys.executable).with_name("jiexun")


@pytest.fixture
def jiexun(tmp_path, monkeypatch):
    """Runs a command on the store of this test: exit status, standard output, standard error."""
    monkeypatch.setenv("JIEXUN_STORE", f"sqlite:///{tmp_path / 'store.db'}")

    def run(*words, typed=""):
        result = CliRunner().invoke(app, [str(word) for word in words], input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, " ".join(result.stderr.split())

    return run


def test_an_account_is_added_listed_changed_and_disabled(jiexun, tmp_path):
    added = ("users", "add", "Li.Ming", "--name", "李明", "--role", "officer", "--areas", f"{WEST},440304004")
    assert jiexun(*added, typed=f"{PASSWORD}\n") == (0, "", "li.ming may sign in as officer")
    status, _, said = jiexun(*added, typed=f"{PASSWORD}\n")
    assert (status, "already" in said) == (1, True)
    (row,) = json.loads(jiexun("users", "list", "--json")[1])["users"]
    assert (row["login"], row["name"], row["role"], row["areas"]) == ("li.ming", "李明", "officer", ["440304004", WEST])
    assert jiexun("users", "role", "li.ming", "dispatcher", "--areas", "all")[0] == 0
    assert jiexun("users", "disable", "li.ming")[0] == 0
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        account = store.accounts.get("li.ming")
    assert (account.role, account.areas, account.disabled) == (Role.DISPATCHER, None, True)
    assert account.password_hash.startswith("$argon2id$")
    assert jiexun("users", "disable", "li.ming", "--undo")[0] == 0
    before = account.password_hash
    assert jiexun("users", "password", "li.ming", typed="another one entirely\n")[0] == 0
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as store:
        account = store.accounts.get("li.ming")
    assert not account.disabled
    assert account.password_hash != before


@pytest.mark.parametrize(
    ("words", "typed", "why"),
    [
        (("add", "li", "--areas", "all"), "short\n", "at least 12 characters"),
        (("add", "li", "--areas", "all"), "\n", "at least 12 characters"),
        (("add", "li.ming", "--areas", "all"), "li.ming-li.ming\n", "among the first"),
        (("add", "li", "--areas", "all"), "password1234\n", "among the first"),
        (("add", "li", "--areas", "all"), "aaaaaaaaaaaaaaaa\n", "among the first"),
        (("add", "li", "--areas", "44;drop"), f"{PASSWORD}\n", "areas are codes"),
        (("add", "li", "--areas", ","), f"{PASSWORD}\n", "areas are codes"),
        (("add", "l i", "--areas", "all"), f"{PASSWORD}\n", "a login has"),
    ],
)
def test_a_bad_account_is_refused_with_a_reason_that_repeats_no_password(jiexun, words, typed, why):
    status, out, said = jiexun("users", *words, typed=typed)
    assert (status, out) == (1, "")
    assert why in said
    assert typed.strip() == "" or typed.strip() not in said
    assert json.loads(jiexun("users", "list", "--json")[1])["users"] == []


def test_no_command_takes_a_password_as_an_option(jiexun):
    status, _, _ = jiexun("users", "add", "li.ming", "--areas", "all", "--password", PASSWORD)
    assert status == 2  # it would stand in the list of processes and in the shell's history


def test_a_key_is_shown_once_and_alone_then_only_by_its_id(jiexun):
    status, out, said = jiexun("keys", "create", "qgis", "--areas", "440304", "--days", "7")
    token = out.strip()
    assert (status, out.count("\n"), len(token)) == (0, 1, 56)
    assert "there are no accounts" in said
    assert token not in said
    status, out, said = jiexun("keys", "list", "--json")
    (row,) = json.loads(out)["keys"]
    assert (row["id"], row["name"], row["role"], row["reach"], row["state"]) == (
        token[4:12],
        "qgis",
        "viewer",
        ["read"],
        "valid",
    )
    assert token[13:] not in out
    assert jiexun("keys", "revoke", row["id"])[0] == 0
    assert json.loads(jiexun("keys", "list", "--json")[1])["keys"][0]["state"] == "revoked"
    assert jiexun("keys", "revoke", "00000000")[0] == 1


def test_a_store_that_is_not_there_is_said(jiexun):
    for words in (("users", "list"), ("keys", "list"), ("users", "disable", "li.ming"), ("backup", "x")):
        status, _, said = jiexun(*words)
        assert (status, "there is no" in said) == (1, True), words


def test_settings_are_all_listed_with_their_origin_and_no_secret(jiexun, monkeypatch):
    monkeypatch.setenv("JIEXUN_S3_SECRET", "s3-hunter2")
    monkeypatch.setenv("JIEXUN_KAFKA_PASSWORD", "kafka-hunter2")
    monkeypatch.setenv("JIEXUN_OIDC_SECRET", "oidc-hunter2")
    monkeypatch.setenv("JIEXUN_STORE", "postgresql://jiexun:pg-hunter2@db/jiexun")
    monkeypatch.setenv("JIEXUN_PROT", "8001")  # misspelt
    status, out, _ = jiexun("settings", "--json")
    rows = {row["name"]: row for row in json.loads(out)["settings"]}
    assert status == 0
    assert set(rows) == {f"JIEXUN_{field.name.upper()}" for field in fields(Settings)}
    assert rows["JIEXUN_S3_SECRET"] == {"name": "JIEXUN_S3_SECRET", "value": "********", "from": "environment"}
    assert rows["JIEXUN_STORE"]["value"] == "postgresql://jiexun:********@db/jiexun"
    assert rows["JIEXUN_PORT"] == {"name": "JIEXUN_PORT", "value": "8000", "from": "default"}
    _, _, said = jiexun("settings")
    assert "JIEXUN_PROT is set, but is no setting" in said
    assert "hunter2" not in out + said


@pytest.mark.parametrize("name", [field.name for field in fields(Settings) if not field.repr and field.name != "store"])
def test_what_the_settings_themselves_hide_is_masked(name):
    assert shown(name, "hunter2") == "********"
    assert shown(name, "") == ""


def test_a_backup_brings_everything_back_but_sessions(jiexun, tmp_path, store, make_event, areas_file):
    evidence = tmp_path / "evidence"
    evidence.mkdir()
    (evidence / "a.jpg").write_bytes(b"picture")
    store.append((), [make_event()])
    store.keep_areas(areas_file.read_text(encoding="utf8"))
    assert jiexun("users", "add", "li.ming", "--areas", "all", typed=f"{PASSWORD}\n")[0] == 0
    store.accounts.begin_session("0" * 64, store.accounts.get("li.ming"), datetime.now(UTC))
    before = store.cases()
    file = tmp_path / "city.backup"
    status, out, _ = jiexun("backup", file, "--json")
    assert (status, json.loads(out)["cases"], json.loads(out)["pictures"]) == (0, 1, 1)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not list(tmp_path.glob("city.backup-*"))  # one file
    elsewhere = tmp_path / "elsewhere" / "jiexun.db"
    status, out, said = jiexun("restore", file, "--store", f"sqlite:///{elsewhere}", "--json")
    assert (status, json.loads(out)["lacking"]) == (0, ["a.jpg"])
    assert "1 of 1 evidence pictures are not beside it" in said
    with Store.open(f"sqlite:///{elsewhere}") as restored:
        assert replace(restored.cases(), log="") == replace(before, log="")
        assert restored.cases().log != before.log  # a page that listens reads anew
        assert restored.areas() == store.areas()
        assert restored.accounts.all() == store.accounts.all()
        assert restored.accounts.session("0" * 64, NOON) is None
        assert restored.append((), [make_event("confirmed", recipients=())]) == 1
    with sqlite3.connect(elsewhere) as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master")}
    database.close()
    assert not {"backup", "backup_evidence"} & tables


def test_pictures_that_cases_have_and_the_folder_has_not_are_said(jiexun, tmp_path, store, make_event, make_case):
    (tmp_path / "evidence").mkdir()
    names = [f"{n:064x}.jpg" for n in (1, 2)]
    for n, name in enumerate(names):
        evidence = Evidence(uri=name, sha256=name[:-4], box_xyxy=(1, 2, 3, 4))
        store.append((), [make_event(case=make_case(f"case-{n}", evidence=evidence))])
    (tmp_path / "evidence" / names[0]).write_bytes(b"picture")
    status, out, said = jiexun("backup", tmp_path / "one", "--json", "--evidence", tmp_path / "evidence")
    assert (status, json.loads(out)["not_listed"]) == (0, 1)
    assert "pictures 1 are not in that folder" in " ".join(said.split())
    (tmp_path / "evidence" / names[1]).write_bytes(b"picture")
    status, out, said = jiexun("backup", tmp_path / "two", "--json", "--evidence", tmp_path / "evidence")
    assert (status, json.loads(out)["not_listed"], "not in that folder" in said) == (0, 0, False)


def test_a_backup_is_taken_while_others_write(jiexun, tmp_path, store, make_event, make_case):
    import threading

    done = threading.Event()

    def write():
        n = 0
        while not done.is_set():
            store.append((), [make_event(case=make_case(f"case-{n}"))])
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(3):
            about = back_up(tmp_path / "store.db", tmp_path / f"{n}.backup", (), "2026-11-20T04:00:00.000Z")
            assert about["cases"] == about["events"]  # of one moment
    finally:
        done.set()
        writer.join()


def test_neither_backup_nor_restore_writes_over_anything(jiexun, tmp_path, store):
    file = tmp_path / "city.backup"
    assert jiexun("backup", file)[0] == 0
    assert jiexun("backup", file)[0] == 1
    status, _, said = jiexun("restore", file)
    assert (status, "exists" in said) == (1, True)


def test_what_is_no_backup_is_not_restored(jiexun, tmp_path, store):
    (tmp_path / "text").write_text("no database at all")
    for name in ("text", "store.db"):
        status, _, said = jiexun("restore", tmp_path / name, "--store", f"sqlite:///{tmp_path}/new.db")
        assert (status, "no backup" in said) == (1, True), name
    assert not (tmp_path / "new.db").exists()


def test_of_postgresql_a_backup_names_the_right_tool(jiexun, tmp_path):
    status, _, said = jiexun("backup", tmp_path / "x", "--store", "postgresql://db/jiexun")
    assert (status, "pg_dump" in said) == (1, True)


def test_a_console_that_is_meant_for_others_demands_signing_in_whatever_it_listens_on(store, areas, tmp_path):
    settings = Settings(public_url="https://jiexun.futian.example")
    made = console_app(store, areas, FolderEvidence(tmp_path), "127.0.0.1", settings)
    with serve(made, port=0) as serving, httpx.Client(base_url=serving.url, trust_env=False) as client:
        assert client.get("/api/cases").status_code == 401
        names = {"jiexun.futian.example": 200, "127.0.0.1": 200, "evil.example": 421}
        assert {name: client.get("/healthz", headers={"host": name}).status_code for name in names} == names


def test_serve_listens_beyond_loopback_only_with_an_account_and_then_demands_it(jiexun, tmp_path, free_port, store):
    status, _, said = jiexun("serve", "--host", "0.0.0.0", "--port", free_port)
    assert (status, "only the loopback address" in said) == (1, True)
    assert jiexun("users", "add", "li.ming", "--areas", "all", typed=f"{PASSWORD}\n")[0] == 0
    key = jiexun("keys", "create", "test", "--areas", "all")[1].strip()
    environment = os.environ | {"JIEXUN_DATA": str(tmp_path)}
    command = [JIEXUN, "serve", "--host", "0.0.0.0", "--port", str(free_port)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{free_port}"
    try:
        with httpx.Client(trust_env=False, transport=httpx.HTTPTransport(retries=9), headers={"origin": url}) as client:
            assert client.get(f"{url}/api/cases").status_code == 401
            named = {"host": "jiexun.futian.example"}
            assert client.get(f"{url}/healthz", headers=named).status_code == 200
            signed = client.post(f"{url}/api/signin", json={"login": "li.ming", "password": PASSWORD})
            assert signed.status_code == 204
            assert client.get(f"{url}/api/cases").json()["total"] == 0
            assert httpx.get(f"{url}/api/cases", headers={"authorization": f"Bearer {key}"}, trust_env=False).is_success
    finally:
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1]
    assert PASSWORD not in said
    assert key not in said
