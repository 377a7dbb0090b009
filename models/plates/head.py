"""The second head: two small layers over a cell's features, for whether a plate is there and where its sides are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.plates.descent import Floats, Layers, descended, forward

CLIP = 6.0  # of a standardised feature
PLATES = 2.0  # weight of a cell in a plate


@dataclass(frozen=True, slots=True)
class Cells:
    """N cells: `features` (N, C) in half precision, whether in a `plate` and in a picture of `traffic` (N,) each.

    `sides` (N, 4): how far left, up, right and down the plate's box reaches, in pixels; of plates alone.
    """

    features: NDArray[np.float16]
    plate: NDArray[np.bool_]
    traffic: NDArray[np.bool_]
    sides: Floats

    def __getitem__(self, keep: NDArray[np.bool_]) -> Cells:
        return Cells(self.features[keep], self.plate[keep], self.traffic[keep], self.sides[keep])


@dataclass(frozen=True, slots=True)
class Head:
    """Features are standardised by `mean` and `spread` (C,); `here` gives a logit, `sides` log distances in pixels."""

    mean: Floats
    spread: Floats
    here: Layers
    sides: Layers

    def logits(self, features: Floats) -> Floats:
        """(N,) of features (N, C)."""
        return forward(self.here, standard(features, self.mean, self.spread))[:, 0]

    def arrays(self) -> dict[str, Floats]:
        """As they are kept in a file."""
        named = {f"here{number}": layer for number, layer in enumerate(self.here)}
        named |= {f"sides{number}": layer for number, layer in enumerate(self.sides)}
        return named | {"mean": self.mean, "spread": self.spread}


def standard(features: Floats, mean: Floats, spread: Floats) -> Floats:
    """As the layers want them."""
    return np.asarray(np.clip((features - mean) / spread, -CLIP, CLIP), np.float32)


def solved(cells: Cells, *, hidden: int, epochs: int, ridge: float, seed: int) -> Head:
    """Learned from cells: logistic loss for plates, absolute error for the sides of those that are."""
    features = cells.features.astype(np.float32)
    mean, spread = features.mean(axis=0), features.std(axis=0) + np.float32(1e-3)
    x = standard(features, mean, spread)
    wanted, weight = cells.plate.astype(np.float32)[:, None], np.where(cells.plate, PLATES, 1.0)[:, None]
    rng = np.random.default_rng(seed)

    def logistic(out: Floats, rows: NDArray[np.int64]) -> Floats:
        return np.asarray((1 / (1 + np.exp(-out)) - wanted[rows]) * weight[rows], np.float32)

    logs = np.log(np.maximum(cells.sides[cells.plate], 1))

    def absolute(out: Floats, rows: NDArray[np.int64]) -> Floats:
        return np.asarray(np.clip(out - logs[rows], -1, 1), np.float32)

    here = descended(x, 1, logistic, (hidden, epochs, ridge), rng)
    sides = descended(x[cells.plate], 4, absolute, (hidden, 2 * epochs, ridge), rng)
    return Head(mean, spread, here, sides)
