"""The console is complete, self-contained and what its vendor table says."""

from __future__ import annotations

import hashlib
import re

import pytest

from dispatcher.api.app import CONSOLE

OWN = sorted(path for path in CONSOLE.iterdir() if path.suffix in {".mjs", ".css", ".html", ".svg"})
NAMESPACES = {"http://www.w3.org/2000/svg"}  # a name, never fetched


def test_vendored_files_are_the_ones_of_the_table():
    table = (CONSOLE / "vendor" / "README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"\| `([^`]+)` \| `[^`]+` \| `([0-9a-f]{64})` \|", table))
    found = {
        path.relative_to(CONSOLE / "vendor").as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (CONSOLE / "vendor").rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    assert found == listed


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_a_file_of_the_console_names_no_other_server(path):
    urls = set(re.findall(r"""(?:https?:)?//[a-z0-9][\w.-]*\.[a-z]{2,}[^\s"'`)]*""", path.read_text(encoding="utf-8")))
    assert urls <= NAMESPACES


@pytest.mark.parametrize("path", [path for path in OWN if path.suffix == ".mjs"], ids=lambda path: path.name)
def test_what_a_module_imports_is_there(path):
    imports = re.findall(r'^import .* from "(\./[^"]+)";$', path.read_text(encoding="utf-8"), re.M)
    assert all((CONSOLE / target).is_file() for target in imports)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_the_page_uses_no_inline_script_or_style():
    page = (CONSOLE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", page)
    assert '<html lang="zh-CN">' in page
