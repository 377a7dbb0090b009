"""The lattice says what H3 says."""

import random

import h3.api.basic_int as h3
import numpy as np
import pytest

from dispatcher.joint.lattice import Lattice

CITIES = [(22.54, 113.95), (39.9, 116.4), (31.23, 121.47), (43.8, 87.6), (18.25, 109.5), (-33.87, 151.2), (64.1, -21.9)]


def around(lat: float, lon: float, reach_deg: float, n: int, dice: random.Random) -> list[tuple[float, float]]:
    return [(lat + dice.uniform(-reach_deg, reach_deg), lon + dice.uniform(-reach_deg, reach_deg)) for _ in range(n)]


@pytest.mark.parametrize("resolution", [11, 12, 13])
@pytest.mark.parametrize(("lat", "lon"), CITIES)
def test_a_point_lies_in_the_cell_that_h3_says(lat: float, lon: float, resolution: int) -> None:
    dice = random.Random(resolution)
    spots = around(lat, lon, 0.01, 2000, dice)
    cells = np.array([h3.latlng_to_cell(*spot, resolution) for spot in spots], np.int64)
    lattice = Lattice.of(cells)
    assert lattice is not None
    known = set(cells.tolist())
    cell_of = dict(zip(lattice.keys(cells).tolist(), cells.tolist(), strict=True))
    assert len(cell_of) == len(known)
    for spot in around(lat, lon, 0.01, 5000, dice):
        cell = h3.latlng_to_cell(*spot, resolution)
        assert cell_of.get(lattice.key(*spot)) == (cell if cell in known else None) or on_an_edge(spot, cell)


def on_an_edge(spot: tuple[float, float], cell: int) -> bool:
    """Within a hand's breadth of another cell."""
    near = [(spot[0] + y * 1e-6, spot[1] + x * 1e-6) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    return any(h3.latlng_to_cell(*beside, h3.get_resolution(cell)) != cell for beside in near)


def test_one_cell_alone_has_a_lattice_too() -> None:
    cell = h3.latlng_to_cell(*CITIES[0], 13)
    lattice = Lattice.of(np.array([cell], np.int64))
    assert lattice is not None
    assert lattice.key(*h3.cell_to_latlng(cell)) == lattice.keys(np.array([cell], np.int64))[0]


def test_there_is_none_at_a_pentagon_nor_across_base_cells() -> None:
    pentagon = h3.get_pentagons(12)[0]
    assert Lattice.of(np.array(sorted(h3.grid_disk(pentagon, 3)), np.int64)) is None
    assert Lattice.of(np.array([h3.latlng_to_cell(0.0, 0.0, 12), h3.latlng_to_cell(40.0, 116.0, 12)])) is None
    assert Lattice.of(np.array([], np.int64)) is None
