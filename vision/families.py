"""Families: the kinds of YOLO that are read as they come. Nothing heavy is imported: the command line names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.card import BGR_BYTE, RGB_UNIT


@dataclass(frozen=True, slots=True)
class Family:
    """Nets that read and write alike."""

    head: str
    pixels: str = RGB_UNIT


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "yolov8": Family("xywh-scores"),  # also v9, 11, 12, and v5, v10 and 26 as ultralytics exports them for NMS
        "yolov10": Family("xyxy-score-class"),  # also 26 without NMS, and all exported with their NMS inside
        "yolov5": Family("xywh-objectness"),  # of the repository yolov5; also v6, v7
        "yolox": Family("grid-objectness", BGR_BYTE),
        "yolox-decoded": Family("xywh-objectness", BGR_BYTE),  # exported with --decode_in_inference
    }
)
