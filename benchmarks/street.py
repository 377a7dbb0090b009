"""A run for the fault benchmark: streets, what lies in them over some days, and the vehicles that see it. Seeded.

Every street runs north, with three places beside it; in each round every street is driven by one vehicle, another one
each time. A place shows its disorder in some rounds and not in others: cases open, are confirmed, close and come back.
Pictures are crops of four pictures of the sample drive in which the shipped net finds exactly one disorder with a
wide margin wherever the crop lies, and of pictures without any. Each crop stands where the camera model puts its thing.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from ingest.frame import rfc3339
from ingest.geo import latlon_from_offset
from vision.camera import Camera, ground_from_road, road_from_picture

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "datasets" / "sample"
COLUMNS = ["file", "time", "lat", "lon", "speed_mps", "heading_deg", "accuracy_m", "vehicle", "camera"]

SIZE_WH = (640, 360)
CAMERA = Camera(hfov_deg=67.0, height_m=1.5, pitch_deg=0.0, yaw_deg=90.0)
ZOOM = 1.6  # of a crop
FOOT_V = 260.0  # every thing stands on this row: 9 m beside the track
QUALITY = 85

# picture -> its one thing (x1, y1, x2, y2), and between which columns of a crop the net found it at 0.83 and more
SHOWN: dict[str, tuple[tuple[int, int, int, int], tuple[int, int]]] = {
    "0021.jpg": ((275, 148, 425, 283), (210, 430)),
    "0062.jpg": ((276, 232, 347, 299), (210, 430)),
    "0067.jpg": ((227, 280, 278, 360), (150, 370)),
    "0020.jpg": ((338, 181, 468, 298), (330, 490)),
}
CLEAN = ("0022.jpg", "0032.jpg", "0051.jpg", "0070.jpg")  # bins at most

ORIGIN = (22.6100, 114.0485)  # the third street lies on the edge of two cells that key the topics
ROUNDS = tuple(  # capture time of a round's begin: pairs two hours apart, a week between them
    datetime(2026, 11, day, hour, tzinfo=UTC) for day, hour in ((10, 0), (10, 2), (17, 0), (17, 2), (18, 0))
)
STORIES = ("DDDDD", "DDDDD", "DDCCC", "DCCCD", "DDDDD", "CDDDD")  # a place's rounds: disorder there, or clear
FRAMES = 20  # of one drive: the last one is taken after a rest, and by it the drive's pass is over
REST_S = 100.0
STREETS_M = 80.0  # between streets
PLACES_M = (25.0, 70.0, 115.0)  # along a street
LENGTH_M = 140.0
SPEED_MPS = 3.0
SPREAD_S = 60.0  # the drives of a round begin within this
ACCURACY_M, NOISE_M = 2.5, 0.6  # 1 sigma as stated, and as it is: receivers are rarely as bad as they say
BORDER = (0, 1)  # street and place of the thing that lies on a border
NOTCH_M = 22.0  # the border bends to that place, and away again so far before and behind it


@dataclass(frozen=True, slots=True)
class Place:
    """One spot beside a street, and its story."""

    picture: str
    east_m: float
    north_m: float
    story: str


def write_run(folder: Path, seed: int, *, vehicles: int = 20, rounds: int = len(ROUNDS)) -> list[Place]:
    """Write a replay folder of vehicles × rounds × 20 frames, with its areas. The seed decides everything."""
    rng = random.Random(f"street-{seed}")
    places = [_street(street, rng) for street in range(vehicles)]
    pictures = _Pictures(rng)
    folder.mkdir(parents=True)
    rows: list[list[str]] = []
    streets = list(range(vehicles))
    rng.shuffle(streets)
    for number, begin in enumerate(ROUNDS[:rounds]):
        for vehicle in range(vehicles):
            street = streets[(vehicle + number) % vehicles]
            start = begin + timedelta(seconds=round(rng.uniform(0.0, SPREAD_S), 3))
            for stop in _drive(street, places[street], number, rng):
                name = f"{len(rows) + 1:05d}.jpg"
                (folder / name).write_bytes(pictures.jpeg(stop))
                rows.append([name, *_fix(stop, start), f"taxi-{vehicle:02d}", "right"])
    with (folder / "frames.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows])
    fields = "\n".join(f"{name} = {getattr(CAMERA, name)}" for name in ("hfov_deg", "height_m", "pitch_deg", "yaw_deg"))
    (folder / "cameras.toml").write_text(f"[right]\n{fields}\n", encoding="utf-8")
    (folder / "areas.geojson").write_text(areas(vehicles), encoding="utf-8")
    return [place for street in places for place in street]


@dataclass(frozen=True, slots=True)
class _Stop:
    """Where a vehicle takes one picture, and what is in it."""

    east_m: float
    north_m: float
    after_s: float  # since the drive began
    picture: str
    shows: bool  # the picture's thing, at column u
    u: float


def aside_m() -> float:
    """How far beside the track a thing on row FOOT_V stands."""
    return float(road_from_picture(np.array([[SIZE_WH[0] / 2, FOOT_V]]), SIZE_WH, CAMERA)[0, 0])


def _street(street: int, rng: random.Random) -> list[Place]:
    shown = sorted(SHOWN)
    return [
        Place(
            picture=rng.choice(shown),
            east_m=street * STREETS_M + aside_m(),
            north_m=north,
            story=STORIES[0] if (street, i) == BORDER else STORIES[(street + i * 2) % len(STORIES)],
        )
        for i, north in enumerate(PLACES_M)
    ]


def _drive(street: int, places: list[Place], number: int, rng: random.Random) -> Iterator[_Stop]:
    """The stops of one drive in order. Every thing is in one to three of its pictures; the others fill the way."""
    noise = [0.0, 0.0] if street == BORDER[0] else [rng.gauss(0.0, NOISE_M) for _ in range(2)]
    seen = [list(_before(place, rng)) for place in places]
    spare = FRAMES - 1 - sum(map(len, seen))
    stops: list[tuple[float, str, bool, float]] = []
    at = 0.0
    for i, (place, columns) in enumerate(zip(places, seen, strict=True)):
        here = [(place.north_m - _ahead_m(u), u) for u in columns]
        stops += [(along, *_filler(rng)) for along in _between(at, here[0][0], spare // 3 + (i < spare % 3))]
        disorder = place.story[number] == "D"
        stops += [(along, *((place.picture, True, u) if disorder else _filler(rng))) for along, u in here]
        at = here[-1][0]
    for along, picture, shows, u in stops:
        yield _Stop(street * STREETS_M + noise[0], along + noise[1], along / SPEED_MPS, picture, shows, u)
    end = LENGTH_M / SPEED_MPS + REST_S
    yield _Stop(street * STREETS_M + noise[0], LENGTH_M + noise[1], end, *_filler(rng))


def _before(place: Place, rng: random.Random) -> Iterator[float]:
    """Columns of the crops in which a vehicle sees a place, in order of driving: from the left, as it lies ahead."""
    low, high = SHOWN[place.picture][1]
    count = rng.randint(1, 3)
    for i in range(count):
        yield (low + high) / 2 if count == 1 else low + (high - low) * i / (count - 1)


def _ahead_m(u: float) -> float:
    """How far ahead of the vehicle a thing on column u stands."""
    road = road_from_picture(np.array([[u, FOOT_V]]), SIZE_WH, CAMERA)
    return float(ground_from_road(road, CAMERA.yaw_deg)[0, 1])  # of a vehicle that drives north


def _between(start_m: float, end_m: float, count: int) -> list[float]:
    return [start_m + (end_m - start_m) * (i + 1) / (count + 1) for i in range(count)]


def _filler(rng: random.Random) -> tuple[str, bool, float]:
    return rng.choice(CLEAN), False, 0.0


def _fix(stop: _Stop, start: datetime) -> list[str]:
    lat, lon = latlon_from_offset(*ORIGIN, stop.east_m, stop.north_m)
    time = start + timedelta(milliseconds=round(1000 * stop.after_s))
    return [rfc3339(time), f"{lat:.7f}", f"{lon:.7f}", f"{SPEED_MPS}", "0.0", f"{ACCURACY_M}"]


class _Pictures:
    """Crops, no two alike: light and grain differ, so that every frame has evidence of its own."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._grain = np.random.default_rng(rng.getrandbits(32))
        self._read: dict[str, np.ndarray] = {}

    def jpeg(self, stop: _Stop) -> bytes:
        image = self._source(stop.picture)
        box = SHOWN[stop.picture][0] if stop.shows else None
        crop = _shown(image, box, stop.u) if box else _middle(image)
        gain, sigma = self._rng.uniform(0.9, 1.08), 1.5
        grain = self._grain.normal(0.0, sigma, (SIZE_WH[1], SIZE_WH[0], 1))
        lit = np.clip(crop.astype(np.float32) * gain + grain, 0, 255).astype(np.uint8)
        return cv2.imencode(".jpg", lit, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()

    def _source(self, name: str) -> np.ndarray:
        if name not in self._read:
            image = cv2.imread(str(SAMPLE / name))
            if image is None:
                raise FileNotFoundError(f"{SAMPLE / name} cannot be read: run it in a clone")
            self._read[name] = image
        return self._read[name]


def _shown(image: np.ndarray, box: tuple[int, int, int, int], u: float) -> np.ndarray:
    """The crop that has the middle of the box's foot at (u, FOOT_V)."""
    left = (box[0] + box[2]) / 2 - u / ZOOM
    return _crop(image, left, box[3] - FOOT_V / ZOOM)


def _middle(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    return _crop(image, (width - SIZE_WH[0] / ZOOM) / 2, (height - SIZE_WH[1] / ZOOM) / 2)


def _crop(image: np.ndarray, left: float, top: float) -> np.ndarray:
    matrix = np.array([[ZOOM, 0.0, -left * ZOOM], [0.0, ZOOM, -top * ZOOM]])
    return cv2.warpAffine(image, matrix, SIZE_WH, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def areas(streets: int) -> str:
    """Two communities: the border lies between two streets, and bends to run right through one place."""
    around, south, north = 400.0, -400.0, LENGTH_M + 400.0
    street, place = BORDER
    through = street * STREETS_M + aside_m()
    beside = (street + 0.5) * STREETS_M + aside_m() / 2
    low, high = PLACES_M[place] - NOTCH_M, PLACES_M[place] + NOTCH_M
    border = [(beside, south), (beside, low), (through, low), (through, high), (beside, high), (beside, north)]
    west = [(-around, south), (-around, north), *border[::-1]]
    east = [*border, (streets * STREETS_M + around, north), (streets * STREETS_M + around, south)]
    return collection({"440304001001": ("一号社区", west), "440304001002": ("二号社区", east)}, ORIGIN)


def collection(communities: dict[str, tuple[str, list[tuple[float, float]]]], origin: tuple[float, float]) -> str:
    """GeoJSON of communities: code -> name and corners, in metres east and north of `origin`."""
    features = []
    for code, (name, ring) in communities.items():
        corners = [latlon_from_offset(*origin, *corner) for corner in [*ring, ring[0]]]
        shape = {"type": "Polygon", "coordinates": [[[round(lon, 9), round(lat, 9)] for lat, lon in corners]]}
        properties = {"code": code, "name": name, "layer": "community", "parent": f"{code[:9]}000"}
        features.append({"type": "Feature", "properties": properties, "geometry": shape})
    return json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False)
