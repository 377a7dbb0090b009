"""A YOLO of the privacy gate: a picture in, boxes of some classes out. One thread, any input size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from vision.detections import Detections
from vision.heads import xywh_scores
from vision.postprocess import suppressed
from vision.regions import Floats, Image, Net, PrivacyUnavailable, released

STRIDE = 32  # pixels; the sides of the input are multiples of it
SAME = 0.6  # overlap from which two boxes of a class are one thing
GREY = 114  # of what lies beside the picture, as in training
NEVER = 2.0  # a score that no class reaches


class YoloNet:
    """A model and its card: `scores` of the classes that are looked for, `input_px` of its longer side from and to."""

    def __init__(self, folder: Path, what: str) -> None:
        """Load the model that the folder's card.toml names; raises PrivacyUnavailable."""
        card, data = released(folder, what)
        self._net = Net(data, what)
        try:
            self._least_px, self._most_px = (int(side) for side in card["input_px"])
            self._floor = floor(card["scores"], int(card["classes"]))
        except (KeyError, ValueError, IndexError) as error:
            raise PrivacyUnavailable(f"the card of the {what} lacks or mistakes {error}") from error

    def __call__(self, image: Image, longest_px: int | None = None) -> Detections:
        """Best first, in the picture's pixels; looked at with a longer side of `longest_px`, or as the card says.

        Raises PrivacyUnavailable.
        """
        longest = max(image.shape[:2])
        scale = (longest_px or min(max(longest, self._least_px), self._most_px)) / longest
        wide, high = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
        canvas = np.full((-(-high // STRIDE) * STRIDE, -(-wide // STRIDE) * STRIDE, 3), GREY, np.uint8)
        how = cv2.INTER_AREA if scale < 0.5 else cv2.INTER_LINEAR
        canvas[:high, :wide] = cv2.resize(image, (wide, high), interpolation=how)
        batch = (canvas[:, :, ::-1].transpose(2, 0, 1)[None] / 255).astype(np.float32)
        found = suppressed(xywh_scores(self._net.run(batch)[0][0], self._floor, canvas.shape[:2]), SAME)
        edge = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
        return Detections(np.clip(found.xyxy / np.float32(scale), 0, edge), found.score, found.label)


def floor(scores: Mapping[str, float], classes: int) -> Floats:
    """(C,): from which score each class counts; those that are not named never do."""
    least = np.full(classes, NEVER, np.float32)
    for number, score in scores.items():
        least[int(number)] = score
    return least
