"""Single pictures and labelled data: what `detect` and `evaluate` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from dispatcher.document import one_line
from ingest.rejected import Rejected
from jiexun.report import console
from models.card import Card
from models.taxonomy import Taxonomy
from vision.detections import Detections
from vision.detector import Detector
from vision.draw import draw
from vision.evaluate import evaluate
from vision.reporting import found
from vision.sight import answering


def detect_pictures(
    images: Sequence[Path], folder: Path | None, cards: Sequence[Card], engine: str, *, json: bool
) -> None:
    """Run the detectors on pictures, print what it found, and draw it. Unreadable pictures are listed."""
    kinds = answering(cards)
    detectors = [Detector(card, engine=engine) for card in cards]
    pictures: list[dict[str, Any]] = []
    rejected: list[Rejected] = []
    for path in images:
        try:
            data = path.read_bytes()
        except OSError as error:
            rejected.append(Rejected(error.strerror or str(error), file=str(path)))
            continue
        results = [detector.detect_jpegs([data])[0] for detector in detectors]
        unreadable = next((one for one in results if isinstance(one, ValueError)), None)
        if unreadable is not None:
            rejected.append(Rejected(str(unreadable), file=str(path)))
            continue
        told = [
            (one, card, own)
            for one, card, own in zip(results, cards, kinds, strict=True)
            if not isinstance(one, ValueError)
        ]
        things = [
            {"kind": f.kind, "confidence": round(f.confidence, 4), "box_xyxy": [round(v, 1) for v in f.box_xyxy]}
            for one, card, own in told
            for f in found(one, card)
            if f.kind in own
        ]
        pictures.append({"file": str(path), "detections": things})
        if folder is not None:
            image = _decoded(data)
            for one, card, own in told:
                image = draw(image, _of(one, card, own), card.classes)
            _write(folder, path, image)
    _print_detections(pictures, rejected)
    if json:
        print(
            one_line(
                {
                    "model": " + ".join(detector.version for detector in detectors),
                    "engine": detectors[0].provider,
                    "pictures": pictures,
                    "rejected": [r.document() for r in rejected],
                }
            )
        )


def evaluate_data(data: Path, split: str, model: Card | None, engine: str, *, json: bool) -> None:
    """Measure on labelled pictures behind a progress bar, print the table, and the document."""
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("pictures", total=None)
        result = evaluate(
            data,
            split=split,
            model=model,
            engine=engine,
            progress=lambda done, total: progress.update(bar, completed=done, total=total),
        )
    _print_evaluation(result)
    if json:
        print(one_line(result))


def _of(result: Detections, card: Card, kinds: Sequence[str]) -> Detections:
    return result[np.isin(result.label, [card.classes.index(kind) for kind in kinds])]


def _decoded(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def _write(folder: Path, path: Path, image: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ok, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    if not ok:
        raise ValueError(f"{path} cannot be drawn")
    (folder / f"{path.stem}.jpg").write_bytes(jpeg.tobytes())


def _print_detections(pictures: list[dict[str, Any]], rejected: list[Rejected]) -> None:
    taxonomy = Taxonomy.read()
    for picture in pictures:
        console.print(f"[bold]{picture['file']}[/]: {len(picture['detections'])} found")
        for thing in picture["detections"]:
            box = ", ".join(f"{v:.0f}" for v in thing["box_xyxy"])
            name = taxonomy.name_zh(thing["kind"])
            console.print(f"  {thing['confidence']:.0%}  {escape(thing['kind'])} {escape(name)}  at {box}")
    for entry in rejected:
        console.print(f"[yellow]rejected[/] {entry.file}: {entry.reason}")


def _print_evaluation(result: dict[str, Any]) -> None:
    table = Table(title=f"{result['model']} on {result['split']}: {result['images']} pictures", header_style="bold")
    for heading in ("class", "AP50", "AP50-95", "precision", "recall", "pictures", "boxes"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    for name, row in result["classes"].items():
        numbers = [f"{row[key]:.3f}" for key in ("ap50", "ap50_95", "precision", "recall")]
        table.add_row(name, *numbers, str(row["images"]), str(row["boxes"]))
    if result["map50"] is not None:
        table.add_row("mean", f"{result['map50']:.3f}", f"{result['map50_95']:.3f}", "", "", "", "")
    console.print(table)
    for entry in result["rejected"]:
        console.print(f"[yellow]rejected[/] {entry.get('file', '')}: {entry['reason']}")
