"""The benchmark of routing runs, and notices an answer that is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks import routing
from dispatcher.area import Areas


def test_the_benchmark_prints_one_document_and_its_answers_are_those_of_trying_every_polygon(capsys) -> None:
    routing.main(json=True, points=4000, side=6)
    (line,) = capsys.readouterr().out.splitlines()
    document = json.loads(line)
    assert document["agrees_with_brute_force"] is True
    assert document["checked_within_2_m"] == 400
    assert document["polygons"] == 36
    assert document["vertices_each"] >= 60
    assert document["points_per_s_per_core"] > 0
    assert 0.9 < document["held"] <= 1.0


def test_one_wrong_answer_is_seen(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    right = Areas.holding

    def wrong(self, *where):
        found = right(self, *where)
        found[0] += 1
        return found

    monkeypatch.setattr(Areas, "holding", wrong)
    document = routing.main(json=True, points=1000, side=4)
    assert (document["agrees_with_brute_force"], document["differ"]) == (False, 1)


def test_the_city_is_a_city_of_neighbours_that_share_every_vertex() -> None:
    west, east, *_ = routing.mesh(2, 16, 5)
    shared = set(map(tuple, np.asarray(west.exterior.coords))) & set(map(tuple, np.asarray(east.exterior.coords)))
    assert len(shared) == 17
    assert west.intersection(east).length > west.distance(east) == 0.0
    assert west.intersection(east).area == 0.0
