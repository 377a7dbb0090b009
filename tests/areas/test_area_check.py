"""What is wrong with a map of areas is said in a sentence, and what is right is not doubted."""

from __future__ import annotations

import json

import pytest
import shapely
from shapely import Polygon, box

from dispatcher.area import document_of, found_areas
from dispatcher.area_check import checked
from dispatcher.area_import import Datum, Layer, merged, prepared
from dispatcher.finding import Fault
from ingest.gcj02 import gcj02_from_wgs84

STREET = "440304004000"
LEFT, RIGHT = "440304004101", "440304004102"


def feature(code, shape, layer="community", parent=STREET, **more):
    properties = {"code": code, "name": f"区{code[-3:]}", "layer": layer, "parent": parent} | more
    properties = {name: value for name, value in properties.items() if value is not None}
    return {"type": "Feature", "properties": properties, "geometry": json.loads(shapely.to_geojson(shape))}


def collection(*features):
    return {"type": "FeatureCollection", "features": list(features)}


WHOLE = feature(STREET, box(114.00, 22.50, 114.02, 22.51), "street", None)


def found(*features):
    areas, findings = found_areas(collection(*features), "the file")
    return [(f.fault, f.text) for f in [*findings, *checked(areas)]]


def test_a_street_that_its_communities_fill_has_nothing_to_be_said_about():
    halves = (box(114.00, 22.50, 114.01, 22.51), box(114.01, 22.50, 114.02, 22.51))
    assert found(WHOLE, feature(LEFT, halves[0]), feature(RIGHT, halves[1])) == []


def test_a_gap_in_a_street_is_said_with_its_size_and_place():
    west, east = box(114.00, 22.50, 114.01, 22.51), box(114.0101, 22.50, 114.02, 22.51)
    ((fault, text),) = found(WHOLE, feature(LEFT, west), feature(RIGHT, east))
    assert fault is Fault.GAP
    assert "without community in 区000 (440304004000), in one part, near 22.505" in text
    metres = float(text.split("gap of ")[1].split(" m²")[0].replace(",", ""))
    assert metres == pytest.approx(10.28 * 1107.4, rel=0.01)  # 0.0001° by 0.01° at that latitude


def test_a_gap_between_areas_without_known_parent_is_found_and_an_enclave_is_none():
    ring = Polygon(box(0, 0, 3, 3).exterior, [box(1, 1, 2, 2).exterior])
    sheet = shapely.transform(ring, lambda xy: xy * 0.001 + (114.0, 22.5))
    assert [f for f, _ in found(feature(LEFT, sheet, parent=None))] == []  # an enclave of somebody else
    west, east = sheet & box(114.0, 22.5, 114.0015, 22.6), sheet & box(114.0015, 22.5, 114.1, 22.6)
    ((fault, text),) = found(feature(LEFT, west, parent=None), feature(RIGHT, east, parent=None))
    assert fault is Fault.GAP
    assert "between 区101 (440304004101), 区102 (440304004102), near 22.50" in text


def test_overlap_crossing_duplicate_parent_and_code_each_have_their_fault():
    bow = Polygon([(114.0, 22.5), (114.01, 22.51), (114.01, 22.5), (114.0, 22.51)])
    wide = box(114.005, 22.5, 114.02, 22.51)
    faults = [
        fault
        for fault, _ in found(
            feature(LEFT, bow),
            feature(RIGHT, wide),
            feature(RIGHT, wide),
            feature("12", box(115, 22, 115.1, 22.1)),
            feature("440304004103", box(116, 22, 116.1, 22.1), layer="village"),
        )
    ]
    wanted = {Fault.CROSSES, Fault.OVERLAP, Fault.DUPLICATE, Fault.PARENT, Fault.CODE, Fault.DROPPED}
    assert set(faults) == wanted


def test_an_area_outside_its_parent_and_one_with_the_code_of_another_street_are_found():
    halves = (box(114.00, 22.50, 114.01, 22.51), box(114.01, 22.50, 114.025, 22.51))
    said = found(WHOLE, feature("440304008101", halves[0]), feature(RIGHT, halves[1]))
    assert {fault for fault, _ in said} == {Fault.CODE, Fault.OUTSIDE}
    assert "its code begins with 440304008" in dict(said)[Fault.CODE]
    assert "outside 区000" in dict(said)[Fault.OUTSIDE]


# One layer from elsewhere


def test_gcj02_comes_back_to_where_it_was_drawn_from():
    shape = box(114.00, 22.50, 114.02, 22.51)
    shifted = shapely.transform(shape, lambda xy: xy if not len(xy) else _gcj02(xy))
    text = json.dumps(collection(feature(LEFT, shifted)))
    document, findings = prepared(text, "f", Layer.COMMUNITY, Datum.GCJ02)
    (area,) = found_areas(document, "f")[0]
    assert findings == []
    assert shapely.hausdorff_distance(area.polygon, shape) < 1e-10
    (unmoved,) = found_areas(prepared(text, "f", None, Datum.CGCS2000)[0], "f")[0]
    assert shapely.hausdorff_distance(unmoved.polygon, shape) > 0.002


def _gcj02(xy):
    lat, lon = gcj02_from_wgs84(xy[:, 1], xy[:, 0])
    return shapely.get_coordinates(shapely.points(lon, lat))


@pytest.mark.parametrize("geometry", [None, 7, {"type": "Polygon"}, {"type": "Polygon", "coordinates": [[["a", 2]]]}])
def test_what_is_no_polygon_is_dropped_with_its_reason_whatever_the_datum(geometry):
    broken = feature(LEFT, box(114, 22, 114.1, 22.1)) | {"geometry": geometry}
    document, _ = prepared(json.dumps(collection(broken, None, 3)), "f", Layer.COMMUNITY, Datum.GCJ02)
    areas, findings = found_areas(document, "f")
    assert len(areas) == 0
    assert [f.fault for f in findings] == [Fault.DROPPED] * 3 + [Fault.EMPTY]


def test_the_layer_that_is_named_is_given_to_features_without_one_and_keeps_others_out():
    plain = feature(LEFT, box(114, 22.5, 114.01, 22.51), layer=None)
    document, findings = prepared(json.dumps(collection(plain, WHOLE)), "f", Layer.COMMUNITY, Datum.WGS84)
    assert [f["properties"]["layer"] for f in document["features"]] == ["community"]
    assert [f.fault for f in findings] == [Fault.LEFT_OUT]
    assert "440304004000" in findings[0].text


def test_a_new_layer_replaces_the_same_one_and_leaves_the_others():
    old = collection(WHOLE, feature(LEFT, box(114, 22.5, 114.01, 22.51)))
    whole = merged(old, collection(feature(RIGHT, box(114, 22.5, 114.01, 22.51))))
    assert [f["properties"]["code"] for f in whole["features"]] == [STREET, RIGHT]
    assert merged(None, old)["features"] == old["features"]


@pytest.mark.parametrize("parent", [None, "440304004", "", 440304004])
def test_a_parent_is_taken_from_the_code_or_found_though_written_otherwise(parent):
    cell = feature("440304004101007", box(114, 22.5, 114.001, 22.501), "grid", None)
    own = feature(LEFT, box(114, 22.5, 114.01, 22.51), parent=parent)
    whole = merged(collection(WHOLE), collection(own, cell))
    areas, findings = found_areas(whole, "f")
    assert findings == []
    assert areas.path("440304004101007") == "区000 / 区101 / 区007"


def test_a_parent_that_nobody_knows_stays_and_is_said():
    whole = merged(None, collection(feature(LEFT, box(114, 22.5, 114.01, 22.51), parent="440304999000")))
    _, findings = found_areas(whole, "f")
    assert [f.fault for f in findings] == [Fault.PARENT]
    assert "440304999000" in findings[0].text


def test_a_text_that_is_no_collection_is_refused():
    with pytest.raises(ValueError, match="no GeoJSON FeatureCollection"):
        document_of('{"type": "Feature"}', "f")
