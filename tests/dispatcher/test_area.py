"""Areas: what is read, repaired, doubted and dropped."""

import json
import runpy
from pathlib import Path

import pytest
from shapely import coverage_is_valid, coverage_union_all, normalize

from dispatcher.area import Areas, Layer, read_areas

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "datasets" / "sample" / "areas.geojson"
D = 0.001  # a side of about 100 m: 102.87 m of longitude and 110.75 m of latitude at 22.54° N


def square(west=114.06, south=22.54, side=D):
    """A closed ring of [lon, lat]."""
    east, north = west + side, south + side
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def feature(code="440304004101", ring=None, name="榕荫社区", layer="community", parent=None, **extra):
    return {
        "type": "Feature",
        "properties": {"code": code, "name": name, "layer": layer, "parent": parent, **extra},
        "geometry": {"type": "Polygon", "coordinates": [square() if ring is None else ring]},
    }


def read(tmp_path, *features, encoding="utf-8", **members):
    path = tmp_path / "areas.geojson"
    document = {"type": "FeatureCollection", "features": list(features), **members}
    path.write_text(json.dumps(document, ensure_ascii=False), encoding=encoding)
    return read_areas(path)


HIERARCHY = [
    feature("440304000000", square(side=4 * D), "福田区", "district"),
    feature("440304004000", square(side=2 * D), "福田街道", "street", "440304000000"),
    feature("440304004101", square(side=D), "榕荫社区", "community", "440304004000"),
    feature("440304004101001", square(side=D / 2), "榕荫一格", "grid", "440304004101"),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_file_is_read_with_and_without_byte_order_mark(tmp_path, encoding):
    areas, warnings = read(tmp_path, *reversed(HIERARCHY), encoding=encoding)
    assert warnings == []
    assert [area.name for area in areas] == ["福田区", "福田街道", "榕荫社区", "榕荫一格"]
    assert areas.path("440304004101") == "福田区 / 福田街道 / 榕荫社区"


def test_no_areas_own_nothing():
    areas = Areas.none()
    assert (len(areas), areas.routing_layer, areas.covering(22.54, 114.06)) == (0, None, ())
    assert areas.features() == {"type": "FeatureCollection", "features": []}
    assert areas.name("440304004101") == areas.path("440304004101") == "440304004101"


@pytest.mark.parametrize(
    ("layers", "routing"),
    [
        ("city district street community grid", Layer.COMMUNITY),
        ("city district street grid", Layer.STREET),
        ("city district grid", Layer.DISTRICT),
        ("city grid", Layer.GRID),
        ("city", Layer.CITY),
        ("", None),
    ],
)
def test_cases_go_to_the_community_or_the_next_office_above_it(tmp_path, layers, routing):
    areas, _ = read(tmp_path, *(feature(str(i), layer=layer) for i, layer in enumerate(layers.split())))
    assert areas.routing_layer == routing


@pytest.mark.parametrize(
    ("lat", "lon", "names"),
    [
        (22.5402, 114.0602, ["福田区", "福田街道", "榕荫社区", "榕荫一格"]),
        (22.5415, 114.0602, ["福田区", "福田街道"]),
        (22.5430, 114.0630, ["福田区"]),
        (22.5400, 114.0600, ["福田区", "福田街道", "榕荫社区", "榕荫一格"]),  # the corner itself
        (22.5399, 114.0602, []),
        (114.0602, 22.5402, []),
    ],
)
def test_a_point_is_covered_by_every_layer_that_holds_it(tmp_path, lat, lon, names):
    areas, _ = read(tmp_path, *HIERARCHY)
    assert [area.name for area in areas.covering(lat, lon)] == names


def test_a_hole_is_not_covered(tmp_path):
    ring, hole = square(), square(114.0604, 22.5404, D / 5)
    holed = feature()
    holed["geometry"]["coordinates"] = [ring, hole]
    areas, warnings = read(tmp_path, holed)
    assert warnings == []
    assert areas.covering(22.5405, 114.0605) == ()
    assert len(areas.covering(22.5401, 114.0601)) == 1


def test_the_page_gets_every_property_and_the_attribution(tmp_path):
    areas, _ = read(tmp_path, feature(440304004101, demo=True, note="示意"), attribution="WTFPL", name="辖区")
    served = json.loads(json.dumps(areas.features(), allow_nan=False))
    assert served["attribution"] == "WTFPL"
    (only,) = served["features"]
    assert only["properties"] == {
        "code": "440304004101", "name": "榕荫社区", "layer": "community", "parent": None, "demo": True, "note": "示意",
    }  # fmt: skip
    assert only["geometry"] == {"type": "Polygon", "coordinates": [square()]}


def test_what_is_served_reads_back_the_same():
    areas, _ = read_areas(SAMPLE)
    assert areas.features() == json.loads(SAMPLE.read_text(encoding="utf-8"))


def test_a_polygon_that_crosses_itself_is_repaired(tmp_path):
    bow = [[114.06, 22.54], [114.061, 22.541], [114.061, 22.54], [114.06, 22.541], [114.06, 22.54]]
    areas, warnings = read(tmp_path, feature(ring=bow))
    # two triangles, each a quarter of 102.87 m * 110.75 m; as drawn, one counts against the other
    assert warnings == ["榕荫社区 (440304004101) crosses or overlaps itself and was repaired: 0 m² became 5,696 m²."]
    assert [len(areas.covering(22.5405, lon)) for lon in (114.0601, 114.0609)] == [1, 1]
    assert areas.covering(22.5401, 114.0605) == ()


def test_parts_of_one_area_that_overlap_are_one_surface(tmp_path):
    double = feature()
    double["geometry"] = {"type": "MultiPolygon", "coordinates": [[square()], [square(114.0605)]]}
    areas, warnings = read(tmp_path, double)
    assert "was repaired" in warnings[0]
    assert len(areas.covering(22.5405, 114.0607)) == 1


def test_overlapping_areas_of_a_layer_are_named_with_the_overlap(tmp_path):
    east = feature("440304004102", square(114.0605), "木棉里社区")
    _, warnings = read(tmp_path, feature(), east, *HIERARCHY[:2])
    # half of 102.87 m by 110.75 m
    assert warnings == [
        "榕荫社区 (440304004101) and 木棉里社区 (440304004102) overlap by 5,696 m²: a thing there counts half for each."
    ]


@pytest.mark.parametrize("shift", [0.001, 0.00099995])  # side by side; 0.5 m² in common
def test_neighbours_and_slivers_are_no_overlap(tmp_path, shift):
    _, warnings = read(tmp_path, feature(), feature("440304004102", square(114.06 + shift, side=D / 10), "木棉里社区"))
    assert warnings == []


def test_parents_that_the_file_lacks_are_one_warning(tmp_path):
    east = feature("440304004102", square(114.07), "木棉里社区", parent="440304004000")
    north = feature("440304008101", square(114.08), "云栈社区", parent="440304008000")
    areas, warnings = read(tmp_path, feature(parent="440304004000"), east, north)
    assert len(areas) == 3
    assert warnings == ["Parents that the file lacks: 440304004000, 440304008000. Area paths end below them."]
    assert areas.path("440304004102") == "木棉里社区"


def test_parents_in_a_circle_end_the_path(tmp_path):
    here = feature("440304004101", parent="440304004102")
    there = feature("440304004102", square(114.07), "木棉里社区", parent="440304004101")
    areas, warnings = read(tmp_path, here, there)
    assert len(warnings) == 2
    assert all("not of a coarser layer" in warning for warning in warnings)
    assert areas.path("440304004101") == "榕荫社区"


@pytest.mark.parametrize(
    ("layer", "code", "doubted"),
    [
        ("district", "440304", False),
        ("district", "440304000000", False),
        ("street", "440304004", False),
        ("street", "440304004000", False),
        ("community", "440304004101", False),
        ("grid", "440304004101001", False),
        ("street", "440304", True),
        ("community", "440304004", True),
        ("grid", "440304004101", True),
        ("community", "FT-榕荫", True),
        ("community", "４４０３０４００４１０１", True),
    ],
)
def test_a_code_of_the_wrong_shape_is_doubted_and_kept(tmp_path, layer, code, doubted):
    areas, warnings = read(tmp_path, feature(code, layer=layer))
    assert [area.code for area in areas] == [code]
    assert ["digits" in warning for warning in warnings] == [True] * doubted


def test_the_second_area_with_a_code_is_dropped(tmp_path):
    areas, warnings = read(tmp_path, feature(), feature(ring=square(114.07), name="木棉里社区"))
    assert [area.name for area in areas] == ["榕荫社区"]
    assert warnings == [
        "Feature 2 (木棉里社区 440304004101) was dropped: code 440304004101 is already that of 榕荫社区."
    ]


SWAPPED = [[lat, lon] for lon, lat in square()]
MERCATOR = [[lon * 111319.49, lat * 117000] for lon, lat in square()]
LINE = [[114.06, 22.54], [114.061, 22.541], [114.06, 22.54]]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (feature(ring=SWAPPED), "look swapped"),
        (feature(ring=[[40.0, 80.0], [40.1, 80.0], [40.1, 80.1], [40.0, 80.0]]), "look swapped"),
        (feature(ring=MERCATOR), "out of range"),
        (feature(ring=[[114.06, 95.0], [114.07, 95.0], [114.07, 95.1], [114.06, 95.0]]), "out of range"),
        (feature(ring=LINE), "no area"),
        (feature(ring=[[114.06, 22.54]] * 5), "no area"),
        (feature(ring=[[114.06, 22.54], [114.07, 22.54]]), "at least 4"),
        (feature(ring=[]), "at least 4"),
        (feature(ring=[[114.06, float("nan")], [114.07, 22.54], [114.07, 22.55], [114.06, 22.54]]), "at least 4"),
        (feature(ring=[[114.06], [114.07], [114.07], [114.06]]), "at least 4"),
        (feature(ring=[["东", "北"]] * 4), "not numbers"),
        (feature(ring=[[10**400, 22.5]] * 4), "not numbers"),
        (feature(ring=7), "not numbers"),
        (feature() | {"geometry": None}, "no geometry"),
        (feature() | {"geometry": {"type": "Point", "coordinates": [114.06, 22.54]}}, "is a Point"),
        (feature() | {"geometry": {"type": "Polygon", "coordinates": []}}, "no area"),
        (feature() | {"geometry": {"type": "MultiPolygon", "coordinates": 5}}, "no lists of rings"),
        (feature() | {"geometry": {"type": "Polygon"}}, "no lists of rings"),
        (feature() | {"properties": None}, "no properties"),
        (feature(None), "no code"),
        (feature(""), "no code"),
        (feature(True), "no code"),
        (feature(layer="village"), "'village' is none of"),
        (feature(layer=None), "None is none of"),
        ("not a feature", "no properties"),
        (None, "no properties"),
    ],
)
def test_a_useless_feature_is_dropped_alone_and_says_why(tmp_path, bad, reason):
    good = feature("440304004102", square(114.07), "木棉里社区")
    areas, warnings = read(tmp_path, bad, good)
    assert [area.name for area in areas] == ["木棉里社区"]
    (warning,) = warnings
    assert warning.startswith("Feature 1")
    assert "was dropped" in warning
    assert reason in warning


def test_a_file_without_a_usable_area_says_what_follows(tmp_path):
    areas, warnings = read(tmp_path, feature(ring=SWAPPED))
    assert len(areas) == 0
    assert "every case will be unowned" in warnings[-1]


def test_an_area_without_name_is_shown_by_its_code(tmp_path):
    areas, warnings = read(tmp_path, feature(name=None))
    assert areas.name("440304004101") == "440304004101"
    assert "has no name" in warnings[0]


@pytest.mark.parametrize(
    ("name", "doubted"),
    [("urn:ogc:def:crs:OGC:1.3:CRS84", 0), ("urn:ogc:def:crs:EPSG::4490", 0), ("urn:ogc:def:crs:EPSG::4547", 1)],
)
def test_another_reference_system_is_doubted(tmp_path, name, doubted):
    areas, warnings = read(tmp_path, feature(), crs={"type": "name", "properties": {"name": name}})
    assert len(warnings) == doubted
    assert "crs" not in areas.features()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"code,name\n440304004101,x\n", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no GeoJSON FeatureCollection"),
        (b'{"type": "Topology"}', "its type is 'Topology'"),
        (b'{"type": "FeatureCollection"}', "its features are no list"),
        ('{"type": "FeatureCollection", "features": [], "name": "福田"}'.encode("gbk"), "not UTF-8"),
    ],
)
def test_a_file_that_is_no_geojson_is_refused_by_name(tmp_path, content, reason):
    path = tmp_path / "areas.geojson"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as refused:
        read_areas(path)
    assert str(path) in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.geojson does not exist"):
        read_areas(tmp_path / "nowhere.geojson")
    with pytest.raises(ValueError, match="is not a file"):
        read_areas(tmp_path)


def test_the_sample_is_sound_and_says_that_it_is_a_demonstration():
    areas, warnings = read_areas(SAMPLE)
    assert warnings == []
    assert SAMPLE.stat().st_size < 60_000
    features = areas.features()["features"]
    assert all(f["properties"]["demo"] is True and f["properties"]["note"] == "示意辖区，非官方边界" for f in features)
    assert all(f["properties"].get("invented", False) == (f["properties"]["layer"] == "community") for f in features)
    assert areas.path("440304009102") == "福田区 / 华富街道 / 星桥社区"


def test_the_sample_has_neither_gaps_nor_overlaps():
    areas, _ = read_areas(SAMPLE)
    communities = areas.of_layer(Layer.COMMUNITY)
    assert len(communities) == 8
    assert coverage_is_valid([area.polygon for area in communities])
    for street in areas.of_layer(Layer.STREET):
        members = [area.polygon for area in communities if area.parent == street.code]
        assert normalize(coverage_union_all(members)) == normalize(street.polygon)


def test_the_sample_drive_passes_communities_of_three_streets():
    areas, _ = read_areas(SAMPLE)
    # 1,010 m northward, 43 m east: 22.5350 + 1010 / 110750, 114.0600 + 43 / 102870
    drive = [(22.5350 + i * 0.00912 / 500, 114.0600 + i * 0.000418 / 500) for i in range(501)]
    passed = [{area for area in areas.covering(*point) if area.layer == Layer.COMMUNITY} for point in drive]
    assert all(passed)
    names = {area.code for here in passed for area in here}
    assert len(names) >= 5
    assert len({code[:9] for code in names}) == 3


def test_the_sample_is_what_its_script_draws():
    drawn = runpy.run_path(str(ROOT / "scripts" / "sample_areas.py"))["collection"]()
    assert drawn == SAMPLE.read_text(encoding="utf-8")
