"""Stretch: an open pass. One camera of one vehicle on one stretch of street, while it is driven."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from statistics import fmean

import h3
import numpy as np

from ingest.frame import Frame, derived_id
from ingest.geo import distance_m, latlon_from_offset, offset_from_latlon
from ingest.sampling import HEARTBEAT_S
from models.taxonomy import Taxonomy
from vision.camera import Camera, picture_from_road, road_from_ground
from vision.geotag import RANGE_LIMIT_M, accuracy_m, geotag
from vision.look import H3_RESOLUTION, looked_cells
from vision.place import PLACE_RESOLUTION
from vision.sighting import Pass, Pictured, Sighting
from vision.track import Spot, Track, associate, same

LONGEST = timedelta(minutes=10)
SILENCE = timedelta(seconds=90)  # no frame for so long: the next one begins a new pass
LOST = timedelta(seconds=4)  # a thing unseen for so long has left the view (it is sent at most 5 s after) ...
SLOW_MPS = 1.0  # ... but a vehicle slower than this sends no frame for so long, and has it before its eyes still
SPACING_M = 4.0  # metres between two frames, as they are sampled
SPARE = timedelta(seconds=2)
SAME_BOX_IOU = 0.6  # two boxes of one group that overlap more are one thing that the model named twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a detector reported in one frame, calibrated."""

    kind: str
    confidence: float
    box_xyxy: tuple[float, float, float, float]


Judged = Callable[[Track, str, float, float, float], float | None]
"""How sure a sighting says it is, of its track, kind, own confidence, lat and lon; None: it is not told at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a stretch needs to know beside its frames."""

    camera: Camera
    taxonomy: Taxonomy
    model: str  # "streetscape-v1@sha256:…"
    recall: Mapping[str, float]
    picture: Callable[[Frame, tuple[float, float, float, float]], Pictured]  # make and store the evidence
    judged: Judged = lambda _, __, confidence, ___, ____: confidence


@dataclass(slots=True)
class Stretch:
    """The open pass of one camera."""

    context: Context
    first: Frame
    last: Frame = field(init=False)
    patience: timedelta = LOST  # how long after `last` a thing unseen counts as still in view
    tracks: dict[str, list[Track]] = field(default_factory=dict)  # by identity group
    waiting: list[Track] = field(default_factory=list)  # those that are still to be sent
    looked: dict[str, float] = field(default_factory=dict)
    too_far: int = 0  # boxes not placed

    def __post_init__(self) -> None:
        self.first = self.last = replace(self.first, jpeg=b"")

    @property
    def id(self) -> str:
        return derived_id("pass", self.first.id, self._place(self.first))

    def ends_before(self, frame: Frame) -> bool:
        """True when `frame` belongs to the next pass."""
        return (
            frame.time - self.first.time > LONGEST
            or frame.time - self.last.time > SILENCE
            or self._place(frame) != self._place(self.first)
        )

    def see(self, frame: Frame, found: list[Found]) -> list[Sighting]:
        """Take one frame in order of time. Returns the sightings of the things that have left the view.

        What is sent, and all it says, follows from this camera's frames and their times alone.
        """
        out = self.overdue(frame.time)
        for cell, p in looked_cells(self.context.camera, frame.size_wh, frame.fix).items():
            self.looked[cell] = max(self.looked.get(cell, 0.0), p)
        by_group: dict[str, list[Spot]] = {}
        for group, spot in self._placed(frame, found):
            by_group.setdefault(group, []).append(spot)
        for group, spots in by_group.items():
            known = self.tracks.get(group, [])
            self.tracks[group] = associate(known, spots)
            self.waiting += self.tracks[group][len(known) :]
        self.patience = _patience(self.last, frame)
        self.last = replace(frame, jpeg=b"")
        return out + self._leave(self._gone(frame))

    def overdue(self, now: datetime) -> list[Sighting]:
        """The sightings that leave when no frame came until `now`, a capture time.

        The next frame would make them leave as they are: asking early, by a clock, changes neither ids nor contents.
        """
        return self._leave([t for t in self._unsent() if now - t.spots[-1].frame.time > self.patience])

    def close(self) -> list[Sighting | Pass]:
        """End the pass: what is still in view, and the pass itself."""
        return [*self._leave(self._unsent()), self._pass()]

    def _placed(self, frame: Frame, found: list[Found]) -> list[tuple[str, Spot]]:
        """The frame's things on the ground of this pass, each with its identity group."""
        if not found:
            return []  # most frames: nothing to place, and placing nothing costs as much as what was looked at
        boxes = _once(found, self.context.taxonomy)
        xyxy = np.array([f.box_xyxy for _, _, f in boxes], np.float64).reshape(-1, 4)
        spots = geotag(xyxy, frame.size_wh, self.context.camera, frame.fix)
        self.too_far += len(boxes) - len(spots.keep)
        here = self._offset(frame)
        bare = replace(frame, jpeg=b"")
        accuracy = accuracy_m(frame.fix)
        out = []
        for i, enu, covariance in zip(spots.keep.tolist(), spots.enu.tolist(), spots.covariance.tolist(), strict=True):
            group, rank, thing = boxes[i]
            (ee, en), (_, nn) = covariance
            spot = Spot(
                frame=frame,
                bare=bare,
                box_xyxy=thing.box_xyxy,
                kind=thing.kind,
                confidence=thing.confidence,
                enu=(here[0] + enu[0], here[1] + enu[1]),
                covariance=(ee, en, nn),
                from_enu=here,
                accuracy_m=accuracy,
                rank=rank,
            )
            out.append((group, spot))
        return out

    def _unsent(self) -> list[Track]:
        self.waiting = [track for track in self.waiting if not track.sent]
        return self.waiting

    def _gone(self, frame: Frame) -> list[Track]:
        """The things that the frame does not show and that are out of its view."""
        fix, camera = frame.fix, self.context.camera
        unseen = [track for track in self._unsent() if track.spots[-1].frame.id != frame.id]
        if fix.heading_deg is None or not unseen:
            return []
        lens = np.array(self._offset(frame)) + camera.lens_enu(fix.heading_deg)
        away = np.array([track.enu for track in unseen]) - lens
        road = road_from_ground(away, fix.heading_deg + camera.yaw_deg)
        u, v = picture_from_road(road, frame.size_wh, camera).T
        width, height = frame.size_wh
        shown = (u >= 0) & (u <= width) & (v <= 1.5 * height) & (np.hypot(*away.T) <= RANGE_LIMIT_M)
        return [track for track, seen in zip(unseen, shown.tolist(), strict=True) if not seen]

    def _leave(self, tracks: list[Track]) -> list[Sighting]:
        """Send the things that left the view; of what two tracks share, one is sent, when both have left."""
        out = []
        left = sorted(tracks, key=lambda t: t.spots[-1].frame.time)
        while left:
            track = left.pop(0)
            group = self.tracks[self._group(track)]
            twin = same(track, [other for other in group if other is not track])
            if twin is None:
                out += self._send(track)
                continue
            keeper, gone = sorted((track, twin), key=lambda t: (not t.sent, t.spots[0].frame.time))
            keeper.absorb(gone)
            group.remove(gone)
            self.waiting = [t for t in self.waiting if t is not gone]
            if any(t is twin for t in left):
                left = [keeper, *(t for t in left if t is not twin)]
        return out

    def _send(self, track: Track) -> list[Sighting]:
        """Its sighting, or none when it is judged that there is nothing to tell."""
        kind, own = track.verdict()
        matter = self.context.taxonomy.matter_of_kind(kind)
        origin = self.first.fix
        east, north = track.enu
        lat, lon = latlon_from_offset(origin.lat, origin.lon, east, north)
        confidence = self.context.judged(track, kind, own, lat, lon)
        if confidence is None:
            track.told()
            return []
        shared = fmean(s.accuracy_m for s in track.spots) ** 2
        ee, en, nn = track.covariance
        first, best = track.spots[0], track.shown_by(kind)
        sighting = Sighting(
            id=derived_id("sighting", first.frame.id, self._group(track), str(first.rank)),
            pass_id=self.id,
            vehicle=self.first.vehicle,
            camera=self.first.camera,
            kind=kind,
            matter=matter,
            confidence=round(confidence, 4),
            seen_at=best.frame.time,
            lat=round(lat, 7),
            lon=round(lon, 7),
            covariance_m2=(round(ee + shared, 4), round(en, 4), round(nn + shared, 4)),
            shared_covariance_m2=(round(shared, 4), 0.0, round(shared, 4)),
            frames=len({s.frame.id for s in track.spots}),
            model=self.context.model,
            evidence=self.context.picture(best.frame, best.box_xyxy) if matter else None,
        )
        track.told()
        return [sighting]

    def _pass(self) -> Pass:
        return Pass(
            id=self.id,
            vehicle=self.first.vehicle,
            camera=self.first.camera,
            started_at=self.first.time,
            ended_at=self.last.time,
            model=self.context.model,
            h3_resolution=H3_RESOLUTION,
            looked={cell: p for cell, p in sorted(self.looked.items()) if p > 0},
            recall=dict(self.context.recall),
        )

    def _group(self, track: Track) -> str:
        return self.context.taxonomy.group_of_kind(track.spots[0].kind)

    def _offset(self, frame: Frame) -> tuple[float, float]:
        return offset_from_latlon(frame.fix.lat, frame.fix.lon, self.first.fix.lat, self.first.fix.lon)

    @staticmethod
    def _place(frame: Frame) -> str:
        return str(h3.latlng_to_cell(frame.fix.lat, frame.fix.lon, PLACE_RESOLUTION))


def _once(found: list[Found], taxonomy: Taxonomy) -> list[tuple[str, int, Found]]:
    """(group, rank from left to right, thing) without the weaker of two boxes of a group on the same thing."""
    kept: list[tuple[str, Found]] = []
    for thing in sorted(found, key=lambda f: (-f.confidence, f.box_xyxy)):
        group = taxonomy.group_of_kind(thing.kind)
        if all(group != g or _iou(thing.box_xyxy, other.box_xyxy) < SAME_BOX_IOU for g, other in kept):
            kept.append((group, thing))
    ranks: dict[str, int] = {}
    out = []
    for group, thing in sorted(kept, key=lambda k: k[1].box_xyxy):
        ranks[group] = ranks.get(group, -1) + 1
        out.append((group, ranks[group], thing))
    return out


def _iou(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _patience(before: Frame, frame: Frame) -> timedelta:
    """How long after `frame` to wait for the next one: longer for a vehicle that crawls or stands."""
    speed = frame.fix.speed_mps
    elapsed_s = (frame.time - before.time).total_seconds()
    if speed is None and elapsed_s > 0:
        speed = distance_m(before.fix.lat, before.fix.lon, frame.fix.lat, frame.fix.lon) / elapsed_s
    if speed is None or speed >= SLOW_MPS:
        return LOST
    return timedelta(seconds=min(HEARTBEAT_S, SPACING_M / max(speed, 1e-3))) + SPARE


def stale(stretch: Stretch, now: datetime) -> bool:
    """True when a stretch has had no frame for so long that its pass is over."""
    return now - stretch.last.time > SILENCE
