"""How near to the true path do smoothed, latency-corrected fixes come, on a real drive?

`python -m benchmarks.gnss [FOLDER] [--save] [--json]`. FOLDER is a segment of comma2k19 (comma.ai, MIT); without it
`comma2k19` in the folder JIEXUN_TRACKS, or else the minute that lies here in `benchmarks/comma2k19`: 1 km at 8 to
20 m/s, with the fixes of a u-blox receiver (10 Hz) and of a phone (0.5 Hz), the car's odometer, and the path that the
authors computed afterwards from raw GNSS and video.

The truth is looked at for the errors only. How late fixes are comes from the odometer, which the camera's clock stamps;
how late and how turned a receiver's velocities are from its own positions. Errors are at each fix, against the truth at
the time that is on it, and at each frame (20 Hz): there "raw" lies on the line between two fixes. "along" and "across"
are medians of the signed errors, forward and to the right.
"""

from __future__ import annotations

import argparse
import json as jsonlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import RESULTS, where
from ingest.frame import Fix
from ingest.geo import ECCENTRICITY2, SEMI_MAJOR_M, Floats, offset_from_latlon
from ingest.latency import Agreement, Estimate, clock_offset_s, position_lag
from ingest.smooth import SmoothTrack
from ingest.track import Places, Track

OUT = RESULTS / "gnss.json"
RECEIVERS = {"u-blox": "ublox", "phone": "qcom"}
ZERO = datetime(2018, 8, 2, tzinfo=UTC)  # of the log's own clock; any day will do


@dataclass(frozen=True, slots=True)
class Truth:
    """The path of the drive: seconds of the camera's clock, east and north (N, 2) of an origin."""

    s: Floats
    position: Floats
    origin: tuple[float, float]

    def errors(self, s: Floats, fixes: list[Fix]) -> Floats:
        """(n, 2): how far fixes of the moments `s` lie forward and to the right of the truth."""
        found = np.array([offset_from_latlon(fix.lat, fix.lon, *self.origin) for fix in fixes])
        velocity = np.gradient(self.position, self.s, axis=0)
        off, ahead = (found - _at(s, self.s, self.position)), _at(s, self.s, velocity)
        ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
        return np.column_stack([(off * ahead).sum(axis=1), off[:, 0] * ahead[:, 1] - off[:, 1] * ahead[:, 0]])


def main(folder: Path | None = None, *, json: bool = False, save: bool = False) -> dict[str, Any]:
    """Measure; the table goes to standard error, one line of JSON to standard output.

    Raises FileNotFoundError without data.
    """
    folder = _folder() if folder is None else folder
    if not (folder / "global_pose__frame_positions").is_file():
        raise FileNotFoundError(f"{folder} holds no segment of comma2k19 (global_pose__frame_positions is missing)")
    truth = read_truth(folder)
    receivers = {name: measured(folder, short, truth) for name, short in RECEIVERS.items()}
    result = {"benchmark": "gnss", "seconds": round(float(np.ptp(truth.s)), 1), "receivers": receivers} | where()
    if save:
        OUT.write_text(jsonlib.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf8")
    if not json:
        print(table(result), file=sys.stderr)
    print(jsonlib.dumps(result, allow_nan=False))
    return result


def measured(folder: Path, receiver: str, truth: Truth) -> dict[str, Any]:
    """Errors of one receiver's fixes: raw, smoothed, and smoothed with their latency taken off."""
    arrived_s, fixes = read_fixes(folder, receiver)
    raw = Track(at_times(fixes, arrived_s, truth.s[0]))
    stamped_s = np.array([fix.time.timestamp() for fix in fixes])
    steady_s = stamped_s + clock_offset_s(arrived_s, stamped_s)
    latency = latency_of(folder, steady_s, fixes, truth.origin)
    steady = Track(at_times(fixes, steady_s, truth.s[0]))
    smooth, late = SmoothTrack(steady), SmoothTrack(steady, latency_s=latency.believed)
    ways: list[tuple[str, Places, Floats]] = [
        ("raw", raw, arrived_s),
        ("smoothed", smooth, steady_s),
        ("smoothed, latency off", late, steady_s - latency.believed),
    ]
    return {
        "fixes": len(fixes),
        "left_out": len(late.outliers),
        "latency_s": _estimate(latency) | {"taken_off": round(latency.believed, 4)},
        "velocity": None if late.agreement is None else _agreement(late.agreement),
        "at_fixes": {name: errors(truth, way, s) for name, way, s in ways},
        "at_frames": {name: errors(truth, way, truth.s) for name, way, _ in ways},
    }


def errors(truth: Truth, way: Places, at_s: Floats) -> dict[str, float]:
    """Of a way at moments of the camera's clock that both it and the truth know."""
    known_s, fixes = [], []
    for s in at_s[(at_s >= truth.s[0]) & (at_s <= truth.s[-1])]:
        time = ZERO + timedelta(seconds=float(s - truth.s[0]))
        try:
            fixes.append(way.at(time))
        except ValueError:
            continue
        known_s.append(s)
    off = truth.errors(np.array(known_s), fixes)
    size = np.linalg.norm(off, axis=1)
    figures = {
        "count": len(fixes),
        "median_m": float(np.median(size)),
        "p90_m": float(np.percentile(size, 90)),
        "along_m": float(np.median(off[:, 0])),
        "across_m": float(np.median(off[:, 1])),
    }
    told = [fix.accuracy_m for fix in fixes if fix.accuracy_m is not None]
    if told:  # a receiver that does not say is taken at its word by nobody
        figures["accuracy_m"] = float(np.median(told))
    return {name: round(value, 3) for name, value in figures.items()}


def latency_of(folder: Path, s: Floats, fixes: list[Fix], origin: tuple[float, float]) -> Estimate:
    """How late fixes that are stamped `s` are behind the car's odometer."""
    position = np.array([offset_from_latlon(fix.lat, fix.lon, *origin) for fix in fixes])
    speed_s = np.load(folder / "processed_log__CAN__speed__t")
    speed = np.load(folder / "processed_log__CAN__speed__value")[:, 0]
    found = position_lag(s, position, speed_s, speed)
    return Estimate(value=0.0, error=1.0) if found is None else found


def at_times(fixes: Iterable[Fix], s: Floats, zero_s: float) -> list[Fix]:
    """The fixes with times of the camera's clock."""
    return [
        Fix(
            time=ZERO + timedelta(seconds=float(t - zero_s)),
            lat=fix.lat,
            lon=fix.lon,
            speed_mps=fix.speed_mps,
            heading_deg=fix.heading_deg,
        )
        for fix, t in zip(fixes, s, strict=True)
    ]


def read_fixes(folder: Path, receiver: str) -> tuple[Floats, list[Fix]]:
    """When each fix arrived on the camera's clock, and the fixes with their own times."""
    values = np.load(folder / f"processed_log__GNSS__live_gnss_{receiver}__value")
    fixes = [
        Fix(
            time=datetime.fromtimestamp(utc_ms / 1000, UTC),
            lat=float(lat),
            lon=float(lon),
            speed_mps=float(speed),
            heading_deg=float(bearing) % 360,
        )
        for lat, lon, speed, utc_ms, _, bearing in values
    ]
    return np.load(folder / f"processed_log__GNSS__live_gnss_{receiver}__t"), fixes


def read_truth(folder: Path) -> Truth:
    """The path after `global_pose`, from ECEF metres."""
    lat, lon = _latlon(np.load(folder / "global_pose__frame_positions"))
    origin = float(lat[0]), float(lon[0])
    position = np.array([offset_from_latlon(a, b, *origin) for a, b in zip(lat, lon, strict=True)])
    return Truth(np.load(folder / "global_pose__frame_times"), position, origin)


def table(result: dict[str, Any]) -> str:
    """The figures for people."""
    lines = []
    for name, one in result["receivers"].items():
        lag, velocity = one["latency_s"], one["velocity"]
        lines.append(f"{name}: {one['fixes']} fixes, {one['left_out']} left out")
        lines.append(
            f"  behind the odometer {lag['value']:+.3f} ± {lag['error']:.3f} s, taken off {lag['taken_off']:.3f} s"
        )
        if velocity is not None:
            late, turn = velocity["lag_s"], velocity["turn_deg"]
            lines.append(
                f"  its velocity behind its position {late['value']:+.3f} ± {late['error']:.3f} s, "
                f"course off by {turn['value']:+.2f} ± {turn['error']:.2f}°"
            )
        for place in ("at_fixes", "at_frames"):
            lines.append(f"  {place.replace('_', ' '):26}{'median':>9}{'p90':>9}{'along':>9}{'across':>9}{'of raw':>9}")
            raw = one[place]["raw"]["median_m"]
            for way, e in one[place].items():
                figures = "".join(f"{e[key]:>9.2f}" for key in ("median_m", "p90_m", "along_m", "across_m"))
                lines.append(f"  {way:26}{figures}{e['median_m'] / raw:>9.0%}")
    return "\n".join([*lines, f"{result['machine']} · commit {result['commit']} · {result['date']}"])


def _folder() -> Path:
    return Path(os.environ.get("JIEXUN_TRACKS") or Path(__file__).parent) / "comma2k19"


def _estimate(estimate: Estimate) -> dict[str, float]:
    return {"value": round(estimate.value, 4), "error": round(estimate.error, 4)}


def _agreement(agreement: Agreement) -> dict[str, Any]:
    return {"lag_s": _estimate(agreement.lag_s), "turn_deg": _estimate(agreement.turn_deg)}


def _at(when: Floats, s: Floats, values: Floats) -> Floats:
    return np.column_stack([np.interp(when, s, axis) for axis in values.T])


def _latlon(ecef: Floats) -> tuple[Floats, Floats]:
    """WGS-84 degrees of ECEF metres (N, 3), by fixed-point iteration: below a millimetre near the ground."""
    x, y, z = ecef.T
    around = np.hypot(x, y)
    lat = np.arctan2(z, around * (1 - ECCENTRICITY2))
    for _ in range(6):
        normal = SEMI_MAJOR_M / np.sqrt(1 - ECCENTRICITY2 * np.sin(lat) ** 2)
        lat = np.arctan2(z + ECCENTRICITY2 * normal * np.sin(lat), around)
    return np.degrees(lat), np.degrees(np.arctan2(y, x))


def command() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="a segment of comma2k19")
    parser.add_argument("--json", action="store_true", help="no table")
    parser.add_argument("--save", action="store_true", help=f"write {OUT.name}")
    args = parser.parse_args()
    try:
        main(args.folder, json=args.json, save=args.save)
    except FileNotFoundError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    command()
