"""Evidence in a bucket of any S3-compatible server: AWS, versitygw, Garage, SeaweedFS, Ceph, the clouds' own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from vision.pictures import NAME, REFRESH, EvidenceUnavailable, Kept, picture_name

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECT_S = 5
READ_S = 30
ATTEMPTS = 3  # of one request, with the client's own back-off between them
THERE = ("PreconditionFailed", "412")  # what If-None-Match says when the name is taken
CONTESTED = ("ConditionalRequestConflict", "409")  # somebody else is writing the very picture: ask again
ABSENT = ("NoSuchKey", "NotFound", "404")


# A HEAD has no body, so its errors are numbers.
MEANING = {"404": "there is no such bucket", "403": "the key, the secret or the rights to this bucket are wrong"}


class Refused(EvidenceUnavailable):
    """The server answered, with an error code."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Login:
    """How to reach a server. Empty is not given; without key boto3's own chain decides (AWS_* variables, roles)."""

    endpoint: str = ""  # "https://s3.example.cn"; empty: AWS
    region: str = "us-east-1"
    key: str = ""
    secret: str = field(default="", repr=False)
    ca: str = ""  # PEM file that signs the server; empty: the system's


class S3Evidence:
    """Pictures as objects `<prefix>/<sha256>.jpg`, written with `If-None-Match: *`: the first writer's stays."""

    def __init__(self, client: S3Client, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @classmethod
    def open(cls, url: str, login: S3Login) -> Self:
        """The store at `s3://bucket/prefix`. Raises ValueError for another url, EvidenceUnavailable without bucket."""
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc:
            raise ValueError(f"{url!r} names no bucket: write s3://bucket/prefix")
        store = cls(_client(login), parts.netloc, parts.path)
        with store._told("open"):
            store._client.head_bucket(Bucket=parts.netloc)
        return store

    def __str__(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def put(self, jpeg: bytes) -> str:
        name = picture_name(jpeg)
        for _ in range(ATTEMPTS):
            try:
                self._write(name, jpeg)
                return name
            except Refused as refused:
                if refused.code in THERE:
                    self._refresh(name, jpeg)
                    return name
                if refused.code not in CONTESTED:
                    raise
        raise EvidenceUnavailable(f"cannot write {self}: others write {name} without end")

    def _write(self, name: str, jpeg: bytes) -> None:
        """As a new object. Raises Refused when there is one."""
        key = self._prefix + name
        with self._told("write"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=jpeg, ContentType="image/jpeg", IfNoneMatch="*")

    def _refresh(self, name: str, jpeg: bytes) -> None:
        """One that was written long ago, or was removed just now, is written today."""
        at = self._written_at(name)
        if at is None or datetime.now(UTC) - at > REFRESH:
            with self._told("write"):
                self._client.put_object(
                    Bucket=self._bucket, Key=self._prefix + name, Body=jpeg, ContentType="image/jpeg"
                )

    def get(self, name: str) -> bytes | None:
        try:
            with self._told("read"):
                found = self._client.get_object(Bucket=self._bucket, Key=self._prefix + name)
                return found["Body"].read()
        except Refused as refused:
            if refused.code in ABSENT:
                return None
            raise

    def kept(self) -> Iterator[Kept]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
        with self._told("list"):
            for page in pages:
                for found in page.get("Contents", []):
                    name = found["Key"].removeprefix(self._prefix)
                    if NAME.fullmatch(name):
                        yield Kept(name, found["Size"], found["LastModified"])

    def remove(self, name: str, *, unless_since: datetime | None = None) -> bool:
        """S3 cannot look and delete in one step: a picture that is put again in the milliseconds between is lost."""
        at = self._written_at(name)
        if at is None or (unless_since is not None and at >= unless_since):
            return False
        with self._told("remove from"):
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + name)
        return True

    def _written_at(self, name: str) -> datetime | None:
        try:
            with self._told("read"):
                return self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)["LastModified"]
        except Refused as refused:
            if refused.code in ABSENT:
                return None
            raise

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """What goes wrong as one sentence with the store's name in it."""
        try:
            yield
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise Refused(f"cannot {what} {self}: {MEANING.get(code, error)}", code) from None
        except BotoCoreError as error:
            raise EvidenceUnavailable(f"cannot {what} {self}: {error}") from None


def _client(login: S3Login) -> S3Client:
    config = Config(
        signature_version="s3v4",
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        # Paths work on every server, and the signed hash of the body lets each of them check what arrived.
        s3={"addressing_style": "path", "payload_signing_enabled": True},
        request_checksum_calculation="when_required",  # newer checksums in trailers confuse older servers
        response_checksum_validation="when_required",
    )
    return boto3.client(
        "s3",
        endpoint_url=login.endpoint or None,
        region_name=login.region,
        aws_access_key_id=login.key or None,
        aws_secret_access_key=login.secret or None,
        verify=login.ca or None,
        config=config,
    )
