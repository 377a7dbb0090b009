"""Kinds and matters: the codes of the national standard, as data."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.card import shipped_models
from models.taxonomy import DEFAULT_PATH, THINGS, Taxonomy, TaxonomyUnreadable

TAXONOMY = Taxonomy.read()


@pytest.mark.parametrize(
    ("kind", "code", "zh", "group"),
    [  # codes and names of GB/T 47678.5-2026
        ("garbage", "06010", "暴露垃圾", "garbage"),
        ("overflow_bin", "06042", "垃圾站（箱）满溢", "bin"),
        ("street_stall", "09006", "占道经营", "street_stall"),
        ("outside_shop", "09005", "店外经营", "outside_shop"),
        ("parked_two_wheeler", "09010", "非机动车乱停放", "parked_two_wheeler"),
        ("garbage_bin", None, "垃圾桶", "bin"),  # an object: it anchors, it is never pushed
        ("flying_saucer", None, "flying_saucer", "flying_saucer"),  # the set of kinds is open
    ],
)
def test_a_kind_has_its_matter_name_and_group(kind: str, code: str | None, zh: str, group: str) -> None:
    assert TAXONOMY.matter_of_kind(kind) == code
    assert TAXONOMY.name_zh(kind) == zh
    assert TAXONOMY.group_of_kind(kind) == group


def test_every_matter_of_the_five_majors_is_there_with_its_names() -> None:
    matters = TAXONOMY.by_code.values()
    majors = {matter.major: matter.major_name for matter in matters}
    assert majors == {
        "06": "市容环境类",
        "07": "宣传广告类",
        "08": "施工管理类",
        "09": "街面秩序类",
        "10": "其他事项类",
    }
    counts = {major: sum(matter.major == major for matter in matters) for major in majors}
    assert counts == {"06": 51, "07": 7, "08": 16, "09": 21, "10": 2}
    assert len({matter.name_en for matter in matters}) == len(matters)
    assert all(matter.name_en.isascii() for matter in matters)


def test_gaps_in_the_numbers_are_real() -> None:
    assert not {"06031", "07005", "09007"} & set(TAXONOMY.by_code)


def test_a_matter_keeps_the_code_that_deployed_platforms_use() -> None:
    assert TAXONOMY.by_code["06010"].code_2013 == "0102"
    assert TAXONOMY.by_code["06042"].code_2013 is None


def test_every_class_of_every_shipped_model_has_names_and_a_matter_or_is_an_object() -> None:
    for kind in {kind for card in shipped_models() for kind in card.classes}:
        assert (TAXONOMY.matter_of_kind(kind) is None) == (kind in THINGS)
        assert TAXONOMY.name_zh(kind) != kind
        assert TAXONOMY.name_en(kind) != kind


def test_a_city_fills_in_its_own_codes_and_kinds(tmp_path: Path) -> None:
    path = tmp_path / "matters.csv"
    text = DEFAULT_PATH.read_text(encoding="utf8")
    old = "06036,06,市容环境类,乱堆杂物,0507,,clutter piled in public space,,"
    assert old in text
    new = "06036,06,市容环境类,乱堆杂物,0507,SZ-17,clutter piled in public space,clutter,"
    path.write_text("\ufeff" + text.replace(old, new), encoding="utf8")  # as a spreadsheet saves it
    taxonomy = Taxonomy.read(path)
    assert taxonomy.by_code["06036"].code_local == "SZ-17"
    assert taxonomy.matter_of_kind("clutter") == "06036"
    assert taxonomy.group_of_kind("clutter") == "clutter"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("06010,06,", "6010,06,", r"line 11: code '6010' is not 5 digits"),
        ("06010,06,", "06010,07,", "line 11: major '07'"),
        ("06011,06,", "06010,06,", "line 12: code 06010 or kind None appears twice"),
        ("garbage,garbage\n", "overflow_bin,garbage\n", "line 42: code 06042 or kind 'overflow_bin' appears twice"),
        ("garbage,garbage\n", "garbage_bin,garbage\n", "kind 'garbage_bin' is an object"),
        ("暴露垃圾", "", "code 06010 lacks a name"),
        ("name_en", "english", "lacks the column name_en"),
    ],
)
def test_a_contradiction_is_told_with_its_line(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = tmp_path / "matters.csv"
    text = DEFAULT_PATH.read_text(encoding="utf8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf8")
    with pytest.raises(TaxonomyUnreadable, match=reason):
        Taxonomy.read(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaxonomyUnreadable, match=r"nowhere\.csv cannot be read"):
        Taxonomy.read(tmp_path / "nowhere.csv")


def test_reading_the_taxonomy_needs_no_heavy_library() -> None:
    code = "import sys, models.taxonomy; print(sorted({'numpy', 'cv2', 'onnxruntime'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
