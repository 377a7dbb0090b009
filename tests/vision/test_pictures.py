"""The evidence stores: one set of promises, held by a folder and by a real S3 server."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from jiexun.run import open_evidence
from jiexun.settings import Settings, read_settings
from vision.pictures import EvidenceStore, EvidenceUnavailable, FolderEvidence, PatientEvidence, folder_of
from vision.s3 import S3Evidence, S3Login

ROOT = Path(__file__).parent.parent.parent
JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"
NAME = "f6ad3a0ff5f8a0a6aa4ed23a8ae4f07d17a2f6bb5b3a6ffcd4dba2a5a6a8a9c3.jpg"
LARGE = os.urandom(450_000)


class Folder:
    """A folder store, and what lies in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = path.as_uri()
        self.settings = Settings()

    def open(self) -> EvidenceStore:
        return open_evidence(self.url, self.settings)

    def written(self) -> dict[str, object]:
        """Name to when it was written."""
        return {file.name: (file.stat().st_mtime_ns, file.stat().st_ino) for file in self.path.iterdir()}


class Bucket:
    """An S3 store with a prefix of its own, and what the server itself says of it."""

    def __init__(self, endpoint: str, prefix: str) -> None:
        self.prefix = prefix
        self.url = f"s3://evidence/{prefix}"
        self.settings = read_settings(
            {"JIEXUN_S3_ENDPOINT": endpoint, "JIEXUN_S3_KEY": "jiexun", "JIEXUN_S3_SECRET": "jiexun-secret"}
        )
        self.client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="jiexun",
            aws_secret_access_key="jiexun-secret",
        )

    def open(self) -> EvidenceStore:
        return open_evidence(self.url, self.settings)

    def written(self) -> dict[str, object]:
        listed = self.client.list_objects_v2(Bucket="evidence", Prefix=f"{self.prefix}/").get("Contents", [])
        return {entry["Key"].removeprefix(f"{self.prefix}/"): entry["LastModified"] for entry in listed}


Place = Folder | Bucket


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Folder(tmp_path / "evidence")
    endpoint: str = request.getfixturevalue("s3_endpoint")
    return Bucket(endpoint, f"city/{tmp_path.name}")


# What every store promises


@pytest.mark.parametrize("jpeg", [JPEG, LARGE, b""], ids=["small", "450 KB", "empty"])
def test_a_picture_comes_back_by_the_hash_of_its_bytes(place: Place, jpeg: bytes) -> None:
    store = place.open()
    name = store.put(jpeg)
    assert name == f"{hashlib.sha256(jpeg).hexdigest()}.jpg"
    assert store.get(name) == jpeg
    assert set(place.written()) == {name}


def test_a_replay_writes_nothing_twice(place: Place) -> None:
    names = [place.open().put(picture) for picture in (JPEG, LARGE)]
    before = place.written()
    again = [place.open().put(picture) for picture in (JPEG, LARGE)]
    assert again == names
    assert place.written() == before


def test_what_is_there_first_stays(place: Place) -> None:
    """A name that is taken is not written over, even where the bytes under it are damaged: someone must look."""
    store = place.open()
    name = store.put(JPEG)
    if isinstance(place, Folder):
        (place.path / name).write_bytes(b"damaged")
    else:
        place.client.put_object(Bucket="evidence", Key=f"{place.prefix}/{name}", Body=b"damaged")
    before = place.written()
    assert store.put(JPEG) == name
    assert place.written() == before
    assert store.get(name) == b"damaged"


def test_many_who_write_the_same_picture_at_once_all_succeed(place: Place) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: place.open().put(LARGE), range(24)))
    assert len(names) == 1
    assert set(place.written()) == names


@pytest.mark.parametrize("name", [NAME, "nothing", "", "..", "../secret.jpg", "/etc/passwd"])
def test_what_is_not_there_is_none(place: Place, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"PRIVATE")
    store = place.open()
    store.put(JPEG)
    assert store.get(name) is None


def test_an_empty_store_has_nothing(place: Place) -> None:
    assert place.open().get(NAME) is None


# The folder


def test_on_a_full_disk_a_put_fails_and_leaves_nothing_half(tmp_path: Path) -> None:
    """The real error of the real call: no file of this process may grow beyond 64 KiB, as on a disk that is full."""
    program = """if True:
        import resource, signal, sys
        from pathlib import Path
        from vision.pictures import FolderEvidence
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
        store = FolderEvidence(Path(sys.argv[1]))
        print(store.put(b"small"))
        try:
            store.put(bytes(450_000))
        except OSError as error:
            print(error.errno)
    """
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True, cwd=ROOT
    )
    name, code = done.stdout.split()
    assert int(code) == errno.EFBIG
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_full_file_system_raises_and_is_usable_again_when_there_is_room(small_disk: Path) -> None:
    store = FolderEvidence(small_disk / "evidence")
    kept = [store.put(os.urandom(450_000)) for _ in range(8)]
    with pytest.raises(OSError) as caught:
        kept += [store.put(os.urandom(450_000)), store.put(os.urandom(450_000))]
    assert caught.value.errno == errno.ENOSPC
    assert {file.name for file in store.folder.iterdir()} == set(kept)
    (store.folder / kept.pop()).unlink()
    assert store.put(os.urandom(400_000))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3.9 MiB: eight pictures and a half."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3900k", "tmpfs", tmp_path], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system needs root: {mounted.stderr.strip()}")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_folder_that_cannot_be_made_is_an_error_of_the_put(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = FolderEvidence(tmp_path / "file" / "evidence")
    with pytest.raises(NotADirectoryError):
        store.put(JPEG)
    assert store.get(NAME) is None


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("file:///var/lib/evidence", Path("/var/lib/evidence")),
        ("file://localhost/var/lib", Path("/var/lib")),
        ("file:///%E8%A1%97%E5%B7%A1", Path("/街巡")),
        ("evidence", Path("evidence")),
        ("/var/lib/evidence", Path("/var/lib/evidence")),
        ("s3://bucket/prefix", None),
    ],
)
def test_a_url_names_a_folder_or_not(url: str, folder: Path | None) -> None:
    assert folder_of(url) == folder


@pytest.mark.parametrize("url", ["file://elsewhere/folder", "file://", "ftp://host/x", "s3://", "s3:///prefix"])
def test_a_url_that_names_nothing_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"names no (folder|bucket)"):
        open_evidence(url, Settings())


# The bucket


@pytest.mark.parametrize(
    ("bucket", "changes", "reason"),
    [
        ("nowhere", {}, "there is no such bucket"),
        ("evidence", {"secret": "wrong"}, "the key, the secret or the rights to this bucket are wrong"),
        ("evidence", {"endpoint": "http://127.0.0.1:9"}, "Could not connect"),
    ],
)
def test_a_bucket_that_cannot_be_used_says_why(
    s3_endpoint: str, bucket: str, changes: dict[str, str], reason: str
) -> None:
    login = replace(S3Login(endpoint=s3_endpoint, key="jiexun", secret="jiexun-secret"), **changes)
    with pytest.raises(EvidenceUnavailable, match=reason) as caught:
        S3Evidence.open(f"s3://{bucket}", login)
    assert f"s3://{bucket}" in str(caught.value)
    assert "secret" not in repr(login)


def test_an_object_is_a_jpeg_under_its_prefix(s3_endpoint: str, tmp_path: Path) -> None:
    bucket = Bucket(s3_endpoint, f"city/{tmp_path.name}")
    name = bucket.open().put(JPEG)
    found = bucket.client.get_object(Bucket="evidence", Key=f"{bucket.prefix}/{name}")
    assert found["ContentType"] == "image/jpeg"
    assert found["Body"].read() == JPEG


# Waiting


class Fitful:
    """A store that refuses so often."""

    def __init__(self, times: int) -> None:
        self.times = times

    def put(self, jpeg: bytes) -> str:
        if self.times:
            self.times -= 1
            raise OSError(errno.ENOSPC, "No space left on device")
        return "kept"

    def get(self, name: str) -> bytes | None:
        return name.encode()


def test_a_patient_store_tries_again_until_it_can() -> None:
    waited: list[OSError] = []
    store = PatientEvidence(Fitful(3), waited.append)
    assert store.put(JPEG) == "kept"
    assert [error.errno for error in waited] == [errno.ENOSPC] * 3
    assert store.get("there") == b"there"


def test_waiting_can_be_given_up() -> None:
    def stop(error: OSError) -> None:
        raise InterruptedError("told to stop")

    with pytest.raises(InterruptedError):
        PatientEvidence(Fitful(1), stop).put(JPEG)
