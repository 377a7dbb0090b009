"""Commands `detect` and `evaluate`: single pictures, and labelled ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jiexun.inspect import detect_pictures, evaluate_data
from jiexun.options import EngineName, FamilyName, Json, ModelName, NamesFile, explained
from vision.foreign import open_card


def detect(
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    json: Json = False,
    draw: Annotated[Path | None, typer.Option("--draw", help="Folder to write the pictures to, boxes drawn.")] = None,
    model: ModelName = None,
    family: FamilyName = None,
    names: NamesFile = None,
    engine: EngineName = None,
) -> None:
    """Find street disorder in pictures.

    Examples:

        jiexun detect datasets/sample/0021.jpg

        jiexun detect street/*.jpg --draw seen --json

        jiexun detect street/*.jpg --model yolox_s.onnx --names coco.names
    """
    with explained() as settings:
        named = (model,) if model else settings.models
        cards = [open_card(one, family=family, names=names) for one in named]
        detect_pictures(images, draw, cards, engine or settings.engine, json=json)


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="A data.yaml of ultralytics, or its folder.")],
    split: Annotated[str, typer.Option(help="Which pictures: train, val or test.")] = "test",
    model: ModelName = None,
    family: FamilyName = None,
    names: NamesFile = None,
    engine: EngineName = None,
    json: Json = False,
) -> None:
    """Measure the shipped models, or another, on labelled pictures, through the hot path that ships.

    Examples:

        jiexun evaluate --data streetscape/data.yaml --split test

        jiexun evaluate --data streetscape --model streetscape-v1 --json

        jiexun evaluate --data streetscape --model runs/v2/best.onnx
    """
    with explained() as settings:
        card = None if model is None else open_card(model, family=family, names=names)
        evaluate_data(data, split, card, engine or settings.engine, json=json)
