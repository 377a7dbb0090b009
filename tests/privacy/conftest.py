"""Stores of both kinds, and evidence in a folder or in a bucket of a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from futian import areas, areas_file, make_case, make_event  # noqa: F401  # fixtures

from dispatcher.store.store import Store
from jiexun.run import open_evidence
from jiexun.settings import Settings, read_settings
from vision.pictures import EvidenceArchive


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with Store.open(store_url) as opened:
        yield opened


@pytest.fixture(params=["folder", "s3"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> EvidenceArchive:
    """An empty one."""
    if request.param == "folder":
        return open_evidence(str(tmp_path / "evidence"), Settings())
    endpoint: str = request.getfixturevalue("s3_endpoint")
    login = {"JIEXUN_S3_ENDPOINT": endpoint, "JIEXUN_S3_KEY": "jiexun", "JIEXUN_S3_SECRET": "jiexun-secret"}
    return open_evidence(f"s3://evidence/privacy/{tmp_path.name}", read_settings(login))
