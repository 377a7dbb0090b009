"""Render cut-outs of stalls, and of things that look like one: `python -m models.stalls.render OUT --count 200`.

A tool of the lab: needs Blender's module `bpy` (PyPI, GPL-3.0; 5.0.1 for Python 3.11) in an environment of its own, and
nothing of Jiexun's runtime imports it. Each cut-out is NAME.png, colour with transparency (the shadow on the ground is
half-transparent black), and NAME.json, which says how it was seen. A number is a seed: the same number is the same
picture, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

from models.stalls.goods import person
from models.stalls.shapes import Workbench
from models.stalls.units import OTHERS, STALLS

LONG_PX = 224  # longer side of the picture: more than a stall covers in a frame that a detector sees
SAMPLES = 8  # a pixel; Blender's denoiser smooths the rest
OTHER_SHARE = 0.25  # of the cut-outs are no stalls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--first", type=int, default=0, help="number of the first cut-out")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for number in range(args.first, args.first + args.count):
        path = args.out / f"{number:05d}.png"
        if path.with_suffix(".json").exists():
            continue
        start = time.monotonic()
        facts = cut_out(path, random.Random(number), args.samples)  # nosec B311: a draw, no secret
        path.with_suffix(".json").write_text(json.dumps(facts) + "\n", encoding="utf8")
        print(f"{path.name} {facts['kind']} {time.monotonic() - start:.1f} s", flush=True)


def cut_out(path: Path, rng: random.Random, samples: int) -> dict[str, Any]:
    """Render one and say what it is: kind, lens height and distance in metres, and its box in pixels."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    stall = rng.random() >= OTHER_SHARE
    kind, make = rng.choice(sorted((STALLS if stall else OTHERS).items()))
    bench = Workbench(rng)
    make(bench)
    bpy.context.view_layer.update()
    if stall:
        _vendors(bench)
    _light(rng)
    _floor()
    lens_m, reach_m = rng.uniform(1.2, 2.6), rng.choice((rng.uniform(4, 9), rng.uniform(9, 25)))
    camera = _camera(bench, rng, lens_m, reach_m)
    box = _framed(bench, camera)
    _render(path, samples)
    scene = bpy.context.scene
    ground = world_to_camera_view(scene, camera, Vector((0, 0, 0)))
    above = world_to_camera_view(scene, camera, Vector((0, 0, 1)))
    height = scene.render.resolution_y
    return {
        "kind": kind,
        "stall": stall,
        "lens_m": round(lens_m, 3),
        "reach_m": round(reach_m, 3),
        "px_per_m": round((above.y - ground.y) * height, 2),  # of an upright metre at the foot of the unit
        "foot_px": round((1 - ground.y) * height, 1),  # row of the ground below the middle of the unit
        "box_xyxy": [round(v, 1) for v in box],
    }


def _vendors(bench: Workbench) -> None:
    """Nobody, one or two people beside the stall."""
    rng = bench.rng
    x0, x1, y0, y1 = _floor_plan(bench.unit)
    bench.person_next()
    for _ in range(rng.choice((0, 1, 1, 2))):
        behind = rng.random() < 0.7
        at = (rng.uniform(x0, x1), y1 + rng.uniform(0.2, 0.5) if behind else y0 - rng.uniform(0.2, 0.5))
        person(bench, at, seated=rng.random() < 0.3)
    bench.unit_next()
    bpy.context.view_layer.update()


def _floor_plan(parts: list[Any]) -> tuple[float, float, float, float]:
    points = [p for part in parts for p in _corners(part)]
    xs, ys = [p.x for p in points], [p.y for p in points]
    return min(xs), max(xs), min(ys), max(ys)


def _corners(part: Any) -> list[Vector]:
    return [part.matrix_world @ Vector(corner) for corner in part.bound_box]


def _light(rng: random.Random) -> None:
    """A sky and a sun, from a dull morning to a bright noon."""
    scene = bpy.context.scene
    scene.world = bpy.data.worlds.new("sky")
    background = scene.world.node_tree.nodes["Background"]
    warm = rng.uniform(-0.12, 0.12)
    background.inputs["Color"].default_value = (0.85 + warm, 0.9, 1.0 - warm, 1.0)
    background.inputs["Strength"].default_value = rng.uniform(0.35, 1.1)
    sun = bpy.data.lights.new("sun", "SUN")
    sun.energy = rng.choice((0.0, rng.uniform(0.5, 2.0), rng.uniform(2.0, 5.0)))
    sun.angle = rng.uniform(0.01, 0.4)
    lamp = bpy.data.objects.new("sun", sun)
    lamp.rotation_euler = (rng.uniform(-1.1, 1.1), rng.uniform(-1.1, 1.1), 0.0)
    scene.collection.objects.link(lamp)


def _floor() -> None:
    """The ground: invisible but for the shadow on it."""
    mesh = bpy.data.meshes.new("floor")
    mesh.from_pydata([(-30, -30, 0), (30, -30, 0), (30, 30, 0), (-30, 30, 0)], [], [(0, 1, 2, 3)])
    floor = bpy.data.objects.new("floor", mesh)
    floor.is_shadow_catcher = True
    bpy.context.scene.collection.objects.link(floor)


def _camera(bench: Workbench, rng: random.Random, lens_m: float, reach_m: float) -> Any:
    """A lens at its height and distance, looking level, so that upright things stay upright; the front is y < 0."""
    side = rng.gauss(0.0, 0.6) if rng.random() < 0.8 else rng.uniform(-math.pi, math.pi)
    data = bpy.data.cameras.new("lens")
    camera = bpy.data.objects.new("lens", data)
    camera.location = (reach_m * math.sin(side), -reach_m * math.cos(side), lens_m)
    camera.rotation_euler = (math.pi / 2, 0.0, side)
    scene = bpy.context.scene
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def _framed(bench: Workbench, camera: Any) -> tuple[float, float, float, float]:
    """Shift and zoom the lens until the unit, its people and room for a shadow fill the picture. Returns its box."""
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = 1000
    camera.data.sensor_width, camera.data.lens = 36.0, 18.0
    bpy.context.view_layer.update()
    unit = _extent(bench.unit or bench.people, camera)
    every = _extent([*bench.unit, *bench.people], camera)
    width, height = every[2] - every[0], every[3] - every[1]
    x0, x1 = every[0] - 0.15 * width, every[2] + 0.15 * width
    y0, y1 = every[1] - 0.08 * height, every[3] + 0.03 * height
    span = max(x1 - x0, y1 - y0)
    camera.data.lens = 18.0 / span
    camera.data.shift_x, camera.data.shift_y = ((x0 + x1) / 2 - 0.5) / span, ((y0 + y1) / 2 - 0.5) / span
    scene.render.resolution_x = max(int(LONG_PX * (x1 - x0) / span), 16)
    scene.render.resolution_y = max(int(LONG_PX * (y1 - y0) / span), 16)
    per = LONG_PX / span
    return (
        (unit[0] - x0) * per,
        (y1 - unit[3]) * per,
        (unit[2] - x0) * per,
        (y1 - unit[1]) * per,
    )


def _extent(parts: list[Any], camera: Any) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of parts, as fractions of a picture 90 degrees wide and high, y upwards."""
    eye = np.array(camera.matrix_world.inverted())
    seen = []
    for part in parts:
        flat = np.empty(3 * len(part.data.vertices))
        part.data.vertices.foreach_get("co", flat)
        turn = eye @ np.array(part.matrix_world)
        seen.append(flat.reshape(-1, 3) @ turn[:3, :3].T + turn[:3, 3])
    points = np.concatenate(seen)
    uv = 0.5 - 0.5 * points[:, :2] / points[:, 2:]
    return (*uv.min(axis=0).tolist(), *uv.max(axis=0).tolist())


def _render(path: Path, samples: int) -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.render.film_transparent = True
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.filepath = str(path)
    scene.view_settings.view_transform = "Standard"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.use_denoising = "CPU", samples, True
    cycles.denoising_prefilter, cycles.denoising_quality = "NONE", "FAST"  # half of a picture's time otherwise
    cycles.max_bounces, cycles.diffuse_bounces, cycles.glossy_bounces = 3, 2, 2
    bpy.ops.render.render(write_still=True)


if __name__ == "__main__":
    main()
