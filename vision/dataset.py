"""Data sets in the layout of ultralytics: data.yaml, pictures, and a text file of boxes for each picture."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
TOLERANCE = 0.01  # how far outside the picture a label may reach, as a fraction of it

Value = str | list[str] | dict[str, str]


class DataUnreadable(ValueError):
    """A data.yaml, or the folders that it names, cannot be understood. The message says where and what is expected."""


class LabelUnreadable(ValueError):
    """The boxes of one picture cannot be understood: it is left out, the others go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One split of a data set."""

    yaml: Path
    split: str
    names: Mapping[int, str]  # class number in the label files -> class name
    pictures: tuple[Path, ...]  # in order of name


def read_dataset(source: Path, split: str) -> Dataset:
    """Read a data.yaml, or the one in a folder. Raises DataUnreadable.

    Paths are relative to the file's own folder; `path`, when given, is a folder between.
    """
    yaml = source / "data.yaml" if source.is_dir() else source
    try:
        doc = parse_yaml(yaml.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataUnreadable(f"{yaml} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataUnreadable(f"{yaml}: {error}") from None
    places = doc.get(split)
    if not places or isinstance(places, dict):
        listed = ", ".join(name for name in ("train", "val", "test") if doc.get(name)) or "none"
        raise DataUnreadable(f"{yaml} names no split {split!r}; it names: {listed}")
    base = doc.get("path") or "."
    if not isinstance(base, str):
        raise DataUnreadable(f"{yaml}: path must be one folder")
    root = yaml.parent / base
    pictures = {p for place in ([places] if isinstance(places, str) else places) for p in _pictures(root, place, yaml)}
    if not pictures:
        raise DataUnreadable(f"{yaml}: split {split!r} has no pictures in {root}")
    return Dataset(yaml=yaml, split=split, names=_names(doc.get("names"), yaml), pictures=tuple(sorted(pictures)))


def read_boxes(picture: Path, names: Mapping[int, str]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The labelled boxes of a picture: x1, y1, x2, y2 as fractions of its size (M, 4), and class numbers (M,).

    The label file lies in the folder `labels` beside `images`; without one the picture shows nothing. Outlines are
    taken as the boxes around them. Raises LabelUnreadable.
    """
    path = label_path(picture)
    if not path.is_file():
        return np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        rows = dict.fromkeys(_row(line, names) for line in lines if line.strip())  # repeated rows count once
    except (OSError, ValueError) as error:
        raise LabelUnreadable(f"labels {path.name}: {error}") from None
    boxes = np.array([row[1:] for row in rows], np.float32).reshape(-1, 4)
    return boxes, np.array([row[0] for row in rows], np.int64)


def label_path(picture: Path) -> Path:
    """Where the boxes of a picture are: the last folder named `images` on its way becomes `labels`."""
    parts = list(picture.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def parse_yaml(text: str) -> dict[str, Value]:
    """The YAML that a data.yaml needs: keys with a scalar, a list or a mapping of scalars, in block or flow style.

    Raises ValueError with the line. Deeper nesting (`roboflow:`, a `download` script) is read over.
    """
    doc: dict[str, Value] = {}
    lines = [(n, line.rstrip()) for n, line in enumerate(text.splitlines(), 1) if _stripped(line) not in ("", "---")]
    while lines:
        number, line = lines.pop(0)
        found = re.match(r"([A-Za-z_][\w-]*)\s*:(?:\s+(.*))?$", line)
        if found is None:
            raise ValueError(f"line {number} is not `key: value`: {line.strip()!r}")
        value = _stripped(found[2] or "")
        block = []
        while lines and (lines[0][1][0] in " \t" or (not value and lines[0][1].startswith("- "))):
            block.append(_stripped(lines.pop(0)[1]))
        if value[:1] in ("[", "{"):
            doc[found[1]] = _flow(" ".join([value, *block]), number)
        elif value or not block:
            doc[found[1]] = _scalar(value)
        else:
            doc[found[1]] = _block(block)
    return doc


def _block(lines: list[str]) -> Value:
    if lines[0].startswith("- "):
        return [_scalar(line[2:].strip()) for line in lines if line.startswith("- ")]
    pairs = (line.partition(":") for line in lines)
    return {_scalar(key.strip()): _scalar(value.strip()) for key, _, value in pairs}


def _flow(text: str, number: int) -> Value:
    closing = {"[": "]", "{": "}"}[text[0]]
    if not text.endswith(closing) or text.count("'") % 2 or text.count('"') % 2:
        raise ValueError(f"line {number}: a bracket or quote is not closed")
    items = [item.strip() for item in re.findall(r"""(?:'[^']*'|"[^"]*"|[^,'"])+""", text[1:-1]) if item.strip()]
    return [_scalar(item) for item in items] if text[0] == "[" else _block(items or [":"])


def _scalar(text: str) -> str:
    if text[:1] == '"' and len(text) > 1 and text.endswith('"'):
        return str(ast.literal_eval(text))
    if text in ("~", "null"):
        return ""
    return text[1:-1].replace("''", "'") if text[:1] == "'" and text.endswith("'") else text


def _stripped(line: str) -> str:
    """A line without indentation and comment; a # inside quotes is none."""
    quote = ""
    for i, char in enumerate(line):
        before = line[i - 1] if i else " "
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"" and before in " \t[{,:":
            quote = char
        elif char == "#" and before in " \t":
            return line[:i].strip()
    return line.strip()


def _names(value: Value | None, yaml: Path) -> dict[int, str]:
    if isinstance(value, list):
        names = dict(enumerate(value))
    elif isinstance(value, dict) and all(key.isdecimal() for key in value):
        names = {int(key): name for key, name in value.items()}
    else:
        raise DataUnreadable(f"{yaml}: names must be a list of class names, or class numbers with their names")
    if not names or len(set(names.values())) < len(names) or not all(names.values()):
        raise DataUnreadable(f"{yaml}: every class needs a name of its own, got {list(names.values())}")
    return names


def _pictures(root: Path, place: str, yaml: Path) -> list[Path]:
    where = root / place
    if not where.exists() and place.startswith("../"):  # what Roboflow writes, meaning the file's own folder
        where = root / place[3:]
    if where.is_dir():
        return [p for p in where.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
    if where.suffix == ".txt" and where.is_file():
        lines = where.read_text(encoding="utf-8-sig").splitlines()
        return [where.parent / line.strip() for line in lines if line.strip()]
    raise DataUnreadable(f"{yaml} names {place}, but {where} is neither a folder nor a list of pictures (.txt)")


def _row(line: str, names: Mapping[int, str]) -> tuple[int, float, float, float, float]:
    """One line: class and centre x, centre y, width, height, or class and an outline, all as fractions."""
    values = [float(word) for word in line.split()]
    label, points = values[0], np.array(values[1:])
    if label not in names:
        raise ValueError(f"class {values[0]:g} has no name in data.yaml")
    if not np.all((points >= -TOLERANCE) & (points <= 1 + TOLERANCE)):  # also refuses NaN
        raise ValueError(f"{line.strip()[:60]!r} is not in fractions of the picture (0 to 1)")
    if len(points) == 4:
        (x, y), (w, h) = points[:2], points[2:]
        if w < 0 or h < 0:
            raise ValueError(f"{line.strip()[:60]!r} has a negative size")
        return int(label), x - w / 2, y - h / 2, x + w / 2, y + h / 2
    if len(points) < 6 or len(points) % 2:
        raise ValueError(f"{len(values)} numbers in a row, expected a class and 4, or a class and an outline")
    return int(label), points[::2].min(), points[1::2].min(), points[::2].max(), points[1::2].max()
