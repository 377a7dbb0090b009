"""Shapes: the parts that stalls are made of, as Blender objects. Metres; z is up, the ground is z = 0.

Needs Blender's module `bpy`, a tool of the lab only: nothing of Jiexun that runs imports this file.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import bpy
from mathutils import Matrix, Vector

Point = tuple[float, float, float]
Colour = tuple[float, float, float]  # linear red, green, blue

CLOTH: tuple[Colour, ...] = (
    (0.60, 0.02, 0.02),
    (0.02, 0.10, 0.50),
    (0.02, 0.30, 0.08),
    (0.80, 0.45, 0.02),
    (0.70, 0.70, 0.68),
    (0.45, 0.03, 0.20),
    (0.05, 0.25, 0.35),
    (0.75, 0.20, 0.05),
)
METAL: tuple[Colour, ...] = ((0.05, 0.05, 0.06), (0.02, 0.08, 0.30), (0.30, 0.31, 0.33), (0.25, 0.02, 0.02))
WOOD: tuple[Colour, ...] = ((0.16, 0.08, 0.03), (0.30, 0.19, 0.09), (0.09, 0.05, 0.03))
PRODUCE: tuple[Colour, ...] = (
    (0.80, 0.28, 0.01),
    (0.55, 0.02, 0.02),
    (0.75, 0.55, 0.02),
    (0.10, 0.30, 0.02),
    (0.25, 0.45, 0.05),
    (0.30, 0.03, 0.12),
    (0.65, 0.45, 0.25),
)
SKIN: tuple[Colour, ...] = ((0.50, 0.27, 0.17), (0.36, 0.18, 0.10), (0.62, 0.37, 0.25))


class Workbench:
    """Makes parts and remembers them: those of the `unit` (what the box is around) and the rest (people)."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.unit: list[Any] = []
        self.people: list[Any] = []
        self._into = self.unit

    def person_next(self) -> None:
        """What follows belongs to a person, not to the unit."""
        self._into = self.people

    def unit_next(self) -> None:
        """What follows belongs to the unit."""
        self._into = self.unit

    def paint(self, base: Colour, *, rough: float = 0.7, metal: float = 0.0, pattern: str = "") -> Any:
        """A material near a colour. `pattern` is "", "stripes" or "noise": a second shade in between."""
        rng = self.rng
        material = bpy.data.materials.new("paint")
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        shader = nodes["Principled BSDF"]
        near = [min(max(c * rng.uniform(0.6, 1.4) + rng.uniform(-0.02, 0.02), 0.0), 1.0) for c in base]
        shader.inputs["Base Color"].default_value = (*near, 1.0)
        shader.inputs["Roughness"].default_value = min(max(rough + rng.uniform(-0.2, 0.2), 0.05), 1.0)
        shader.inputs["Metallic"].default_value = metal
        if not pattern:
            return material
        if pattern == "stripes":
            texture = nodes.new("ShaderNodeTexWave")
            texture.inputs["Scale"].default_value = rng.uniform(0.6, 3.0)
        else:
            texture = nodes.new("ShaderNodeTexNoise")
            texture.inputs["Scale"].default_value = rng.uniform(3.0, 20.0)
        coordinates = nodes.new("ShaderNodeTexCoord")
        ramp = nodes.new("ShaderNodeValToRGB")
        second = rng.choice(CLOTH) if pattern == "stripes" else [c * rng.uniform(0.2, 0.7) for c in near]
        ramp.color_ramp.elements[0].position, ramp.color_ramp.elements[1].position = 0.45, 0.55
        ramp.color_ramp.elements[0].color = (*near, 1.0)
        ramp.color_ramp.elements[1].color = (*second, 1.0)
        links.new(coordinates.outputs["Object"], texture.inputs["Vector"])
        links.new(texture.outputs["Fac"] if "Fac" in texture.outputs else texture.outputs[0], ramp.inputs["Fac"])
        links.new(ramp.outputs["Color"], shader.inputs["Base Color"])
        return material

    def add(self, mesh: Any, material: Any, at: Point, turn: Matrix | None = None) -> Any:
        """An object of a mesh, which several may share."""
        thing = bpy.data.objects.new("part", mesh)
        thing.matrix_world = Matrix.Translation(at) @ (turn if turn is not None else Matrix.Identity(4))
        if not mesh.materials:
            mesh.materials.append(material)
        bpy.context.scene.collection.objects.link(thing)
        self._into.append(thing)
        return thing

    def box(self, size: Point, at: Point, material: Any, turn: Matrix | None = None) -> Any:
        """A block around its centre `at`."""
        return self.add(_scaled(_BOX, size), material, at, turn)

    def rod(self, start: Point, end: Point, radius: float, material: Any) -> Any:
        """A round bar between two points."""
        a, b = Vector(start), Vector(end)
        turn = (b - a).to_track_quat("Z", "Y").to_matrix().to_4x4()
        return self.add(_tube(radius, radius, (b - a).length, 10), material, tuple((a + b) / 2), turn)

    def cone(self, low: float, high: float, height: float, at: Point, material: Any, sides: int = 16) -> Any:
        """A truncated cone around its centre: radius below and above."""
        return self.add(_tube(low, high, height, sides), material, at)

    def ball(self, radii: Point, at: Point, material: Any) -> Any:
        """An ellipsoid."""
        return self.add(ball_mesh(radii), material, at)

    def wheel(self, radius: float, at: Point, rubber: Any, steel: Any, *, along: float = 0.0) -> None:
        """A spoked wheel that stands upright; its axle is turned by `along` radians from the y axis."""
        turn = Matrix.Rotation(along, 4, "Z") @ Matrix.Rotation(math.pi / 2, 4, "X")
        self.add(_ring(radius, 0.03), rubber, at, turn)
        self.add(_tube(0.05, 0.05, 0.12, 10), steel, at, turn)
        for k in range(6):
            spoke = turn @ Matrix.Rotation(k * math.pi / 6, 4, "Z") @ Matrix.Rotation(math.pi / 2, 4, "Y")
            self.add(_tube(0.008, 0.008, 2 * radius, 5), steel, at, spoke)


_BOX: tuple[list[Point], list[tuple[int, ...]]] = (
    [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)],
    [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)],
)


def mesh_of(points: Sequence[Point], faces: Sequence[Sequence[int]], *, smooth: bool = False) -> Any:
    """A Blender mesh."""
    mesh = bpy.data.meshes.new("mesh")
    mesh.from_pydata(list(points), [], [tuple(face) for face in faces])
    if smooth:
        mesh.shade_smooth()
    return mesh


def ball_mesh(radii: Point, *, rings: int = 6, sides: int = 10) -> Any:
    """An ellipsoid around the origin."""
    points: list[Point] = [(0.0, 0.0, radii[2])]
    for i in range(1, rings):
        polar = math.pi * i / rings
        for k in range(sides):
            turn = 2 * math.pi * k / sides
            points.append(
                (
                    radii[0] * math.sin(polar) * math.cos(turn),
                    radii[1] * math.sin(polar) * math.sin(turn),
                    radii[2] * math.cos(polar),
                )
            )
    points.append((0.0, 0.0, -radii[2]))
    last = len(points) - 1
    faces: list[tuple[int, ...]] = [(0, 1 + k, 1 + (k + 1) % sides) for k in range(sides)]
    for i in range(rings - 2):
        a = 1 + i * sides
        faces += [(a + k, a + sides + k, a + sides + (k + 1) % sides, a + (k + 1) % sides) for k in range(sides)]
    a = last - sides
    faces += [(a + k, last, a + (k + 1) % sides) for k in range(sides)]
    return mesh_of(points, faces, smooth=True)


def _scaled(shape: tuple[list[Point], list[tuple[int, ...]]], size: Point) -> Any:
    return mesh_of([(x * size[0], y * size[1], z * size[2]) for x, y, z in shape[0]], shape[1])


def _tube(low: float, high: float, height: float, sides: int) -> Any:
    points: list[Point] = []
    for radius, z in ((low, -height / 2), (high, height / 2)):
        for k in range(sides):
            turn = 2 * math.pi * k / sides
            points.append((radius * math.cos(turn), radius * math.sin(turn), z))
    faces: list[tuple[int, ...]] = [(k, (k + 1) % sides, sides + (k + 1) % sides, sides + k) for k in range(sides)]
    faces += [tuple(range(sides - 1, -1, -1)), tuple(range(sides, 2 * sides))]
    return mesh_of(points, faces)


def _ring(radius: float, thick: float, *, around: int = 24, sides: int = 6) -> Any:
    points: list[Point] = []
    for i in range(around):
        a = 2 * math.pi * i / around
        for k in range(sides):
            b = 2 * math.pi * k / sides
            reach = radius - thick + thick * math.cos(b)
            points.append((reach * math.cos(a), reach * math.sin(a), thick * math.sin(b)))
    faces = [
        (
            i * sides + k,
            (i + 1) % around * sides + k,
            (i + 1) % around * sides + (k + 1) % sides,
            i * sides + (k + 1) % sides,
        )
        for i in range(around)
        for k in range(sides)
    ]
    return mesh_of(points, faces, smooth=True)
