"""Accounts of people and keys of machines: the commands that make and end them, and the console they open."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from fastapi import FastAPI
from rich.table import Table

from dispatcher.access.account import Account, Key, normal_login, read_areas
from dispatcher.access.oidc import Client, Provider, read_roles
from dispatcher.access.passwords import Passwords, checked_password
from dispatcher.access.principal import Reach, Role
from dispatcher.access.tokens import hashed, new_key
from dispatcher.api.app import LOOPBACK, create_app
from dispatcher.area import Areas
from dispatcher.document import one_line
from dispatcher.open311.limits import Limits
from dispatcher.store.database import explained_failures
from dispatcher.store.store import Store
from ingest.frame import rfc3339
from jiexun.options import Json, explained
from jiexun.report import console, warn
from jiexun.settings import Settings
from jiexun.streams import default_store, strange_areas
from vision.pictures import EvidenceStore

users_app = typer.Typer(no_args_is_help=True, help="Accounts of people. With the first one, signing in is demanded.")
keys_app = typer.Typer(no_args_is_help=True, help="Keys of machines, for the API.")

LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
StoreOption = Annotated[
    str | None, typer.Option("--store", help="The store of the accounts; default: JIEXUN_STORE.", metavar="URL")
]
AreasOption = Annotated[str, typer.Option("--areas", help="Area codes with commas between, or all.")]
Login = Annotated[str, typer.Argument(help="How the person signs in.")]


def console_app(store: Store, areas: Areas, evidence: EvidenceStore, host: str, settings: Settings) -> FastAPI:
    """The console as the settings want it. Beyond loopback it answers under any name, unless one is set."""
    provider = None
    if settings.oidc_issuer:
        client = Client(
            issuer=settings.oidc_issuer,
            id=settings.oidc_client,
            secret=settings.oidc_secret,
            name=settings.oidc_name,
            scopes=settings.oidc_scopes,
            role_claim=settings.oidc_role_claim,
            roles=read_roles(settings.oidc_roles),
            areas_claim=settings.oidc_areas_claim,
        )
        provider = Provider(client)
    named = urlsplit(settings.public_url).hostname
    if host not in LOCAL_NAMES and not settings.public_url.startswith("https://"):
        warn("passwords and pictures cross the network unencrypted: see docs/access.md, At the network's edge")
    hosts: tuple[str, ...] = LOOPBACK if host in LOCAL_NAMES else ("*",)
    if named:
        hosts = (*LOOPBACK, named)
    return create_app(
        store,
        areas,
        evidence=evidence,
        hosts=hosts,
        always=bool(settings.public_url),  # whoever names it means others to come, if through a proxy
        provider=provider,
        public_url=settings.public_url,
        limits=Limits(settings.reports_per_sender, settings.reports_per_reporter),
    )


@users_app.command("add")
def users_add(
    login: Login,
    areas: AreasOption,
    role: Annotated[Role, typer.Option("--role", help="What they may do.")] = Role.OFFICER,
    name: Annotated[str | None, typer.Option("--name", help="Their name, for people.")] = None,
    store: StoreOption = None,
) -> None:
    """Add an account. The password is asked for, or read from the first line of standard input.

    Examples:

        jiexun users add li.ming --name 李明 --role officer --areas 440304008

        jiexun users add chief --role admin --areas all < password.txt
    """
    with _opened(store, create=True) as (opened, now):
        known, codes = normal_login(login), read_areas(areas)
        if opened.accounts.get(known) is not None:
            raise ValueError(f"there is an account {known} already")
        password = _password(known)
        account = Account(
            login=known,
            name=name or known,
            role=role,
            areas=codes,
            password_hash=Passwords().hash(password),
            created_at=now,
            changed_at=now,
        )
        opened.accounts.add(account)
        _doubt_areas(opened, codes)
        console.print(f"{known} may sign in as {role}")


@users_app.command("list")
def users_list(json: Json = False, store: StoreOption = None) -> None:
    """List the accounts with their roles and areas.

    Examples:

        jiexun users list
    """
    with _opened(store) as (opened, _):
        rows = [_account_document(account) for account in opened.accounts.all()]
        print(one_line({"users": rows})) if json else _print_table(rows)


@users_app.command("disable")
def users_disable(
    login: Login,
    undo: Annotated[bool, typer.Option("--undo", help="Let them sign in again.")] = False,
    store: StoreOption = None,
) -> None:
    """Keep somebody from signing in; their sessions end at once. Accounts are never deleted.

    Examples:

        jiexun users disable li.ming

        jiexun users disable li.ming --undo
    """
    with _opened(store) as (opened, now):
        account = _account(opened, login)
        opened.accounts.change(replace(account, disabled=not undo, changed_at=now))
        console.print(f"{account.login} may {'sign in again' if undo else 'not sign in any more'}")


@users_app.command("password")
def users_password(login: Login, store: StoreOption = None) -> None:
    """Give an account a new password, asked for or from standard input; its sessions end at once.

    Examples:

        jiexun users password li.ming
    """
    with _opened(store) as (opened, now):
        account = _account(opened, login)
        if account.issuer is not None:
            raise ValueError(f"{account.login} signs in through {account.issuer}: there is no password here")
        password = _password(account.login)
        changed = replace(account, password_hash=Passwords().hash(password), changed_at=now)
        opened.accounts.change(changed)
        console.print(f"{account.login} has a new password")


@users_app.command("role")
def users_role(
    login: Login,
    role: Annotated[Role, typer.Argument(help="What they may do from now on.")],
    areas: Annotated[str | None, typer.Option("--areas", help="And where, if that changes.")] = None,
    store: StoreOption = None,
) -> None:
    """Change what somebody may do, and where; their sessions end at once.

    Examples:

        jiexun users role li.ming dispatcher --areas 440304
    """
    with _opened(store) as (opened, now):
        account = _account(opened, login)
        if account.issuer is not None:
            warn(f"at the next sign-in {account.login} has the role that {account.issuer} says")
        codes = account.areas if areas is None else read_areas(areas)
        opened.accounts.change(replace(account, role=role, areas=codes, changed_at=now))
        _doubt_areas(opened, codes)
        console.print(f"{account.login} is now {role}")


@keys_app.command("create")
def keys_create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    areas: AreasOption,
    role: Annotated[Role, typer.Option("--role", help="What it may do.")] = Role.VIEWER,
    reach: Annotated[list[Reach] | None, typer.Option("--reach", help="How far; default: read. Repeatable.")] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="For how long.")] = 90,
    store: StoreOption = None,
) -> None:
    """Make a key and print it once, alone on standard output: it is kept only as a hash.

    Programs send it as `Authorization: Bearer KEY`. Whatever its role, it reaches no further than said.

    Examples:

        jiexun keys create qgis --areas 440304

        jiexun keys create 12345-hotline --role officer --areas all --reach read --reach act --days 365
    """
    with _opened(store, create=True) as (opened, now):
        id, token = new_key()
        codes = read_areas(areas)
        key = Key(
            id=id,
            name=name,
            role=role,
            areas=codes,
            reach=frozenset(reach or [Reach.READ]),
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        opened.keys.add(key, hashed(token))
        _doubt_areas(opened, codes)
        if not opened.accounts.any():
            warn("there are no accounts: without a key, whoever sits at this machine may do everything")
        console.print(f"key {id}, until {rfc3339(key.expires_at)}; it is shown this once:")
        print(token)


@keys_app.command("list")
def keys_list(json: Json = False, store: StoreOption = None) -> None:
    """List the keys, revoked and expired ones too, without what would open anything.

    Examples:

        jiexun keys list
    """
    with _opened(store) as (opened, now):
        rows = [_key_document(key, now) for key in opened.keys.all()]
        print(one_line({"keys": rows})) if json else _print_table(rows)


@keys_app.command("revoke")
def keys_revoke(id: Annotated[str, typer.Argument(help="The part after jxk_.")], store: StoreOption = None) -> None:
    """Revoke a key: from now on nobody is let in by it.

    Examples:

        jiexun keys revoke 1f0c22ab
    """
    with _opened(store) as (opened, now):
        known = id.removeprefix("jxk_").partition("_")[0]
        opened.keys.revoke(known, now)
        console.print(f"key {known} is revoked")


@contextmanager
def _opened(url: str | None, *, create: bool = False) -> Iterator[tuple[Store, datetime]]:
    with explained() as settings:
        named = url or settings.store or default_store(settings)
        if named.startswith("sqlite:///"):
            path = Path(named.removeprefix("sqlite:///"))
            if create:
                path.parent.mkdir(parents=True, exist_ok=True)
            elif not path.is_file():
                raise FileNotFoundError(f"there is no store {named}: name one with --store")
        with explained_failures(), Store.open(named) as opened:
            yield opened, datetime.now(UTC)


def _account(store: Store, login: str) -> Account:
    found = store.accounts.get(normal_login(login))
    if found is None:
        raise ValueError(f"there is no account {login}")
    return found


def _password(login: str) -> str:
    """From a person at a terminal, unseen and twice; else the first line of standard input."""
    if sys.stdin.isatty():
        text = typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    return checked_password(text, login)


def _doubt_areas(store: Store, codes: frozenset[str] | None) -> None:
    if strange := strange_areas(store, codes or ()):
        warn(f"no area in the store has the code {', '.join(strange)}, or lies below it: nothing of it is shown")


def _account_document(account: Account) -> dict[str, Any]:
    return {
        "login": account.login,
        "name": account.name,
        "role": str(account.role),
        "areas": "all" if account.areas is None else sorted(account.areas),
        "disabled": account.disabled,
        "signs_in": account.issuer or "password",
        "changed_at": rfc3339(account.changed_at),
    }


def _key_document(key: Key, now: datetime) -> dict[str, Any]:
    state = "revoked" if key.revoked_at else "expired" if key.over(now) else "valid"
    return {
        "id": key.id,
        "name": key.name,
        "role": str(key.role),
        "areas": "all" if key.areas is None else sorted(key.areas),
        "reach": sorted(key.reach),
        "state": state,
        "expires_at": rfc3339(key.expires_at),
        "used_at": None if key.used_at is None else rfc3339(key.used_at),
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        console.print("none yet")
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(", ".join(map(str, cell)) if isinstance(cell, list) else str(cell) for cell in row.values()))
    console.print(table)
