"""Pictures as a vehicle's camera sends them, made from the sample drive's."""

from __future__ import annotations

from pathlib import Path

import cv2

SAMPLE = Path(__file__).parents[1] / "datasets" / "sample"
SIZES_WH = {"1080p": (1920, 1080), "720p": (1280, 720)}
PICTURES = 16
QUALITY = 93  # JPEG: about 430 KB at 1080p


def pictures(sample: Path, size_wh: tuple[int, int], *, count: int = PICTURES, quality: int = QUALITY) -> list[bytes]:
    """JPEGs of that size, cut to 16:9 and scaled, spread over the drive. Raises FileNotFoundError without it."""
    files = sorted(sample.glob("*.jpg"))
    if len(files) < count:
        raise FileNotFoundError(f"{sample} holds {len(files)} pictures, {count} are needed: run it in a clone")
    made = []
    for i in range(count):
        image = cv2.imread(str(files[i * len(files) // count]))
        if image is None:
            raise FileNotFoundError(f"{files[i]} does not decode: restore the sample drive")
        rows = min(image.shape[0], image.shape[1] * size_wh[1] // size_wh[0])
        top = (image.shape[0] - rows) // 2
        scaled = cv2.resize(image[top : top + rows], size_wh, interpolation=cv2.INTER_CUBIC)
        made.append(cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
    return made
