"""Two layers by Adam with a falling rate, in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Layers = tuple[Floats, Floats, Floats, Floats]  # weights, shifts, weights, shifts
Slope = Callable[[Floats, NDArray[np.int64]], Floats]  # of the loss by the outputs of some rows

BATCH, RATE = 1024, 2e-3


def forward(layers: Layers, x: Floats) -> Floats:
    """(N, outputs)."""
    return np.asarray(np.maximum(x @ layers[0] + layers[1], 0) @ layers[2] + layers[3], np.float32)


def descended(x: Floats, outputs: int, slope: Slope, how: tuple[int, int, float], rng: np.random.Generator) -> Layers:
    """Layers learned from rows (N, C); `how`: hidden units, epochs, ridge."""
    hidden, epochs, ridge = how
    wide = np.sqrt(2 / x.shape[1])
    layers = (
        rng.normal(0, wide, (x.shape[1], hidden)).astype(np.float32),
        np.zeros(hidden, np.float32),
        rng.normal(0, 0.1, (hidden, outputs)).astype(np.float32),
        np.zeros(outputs, np.float32),
    )
    first, second = [np.zeros_like(a) for a in layers], [np.zeros_like(a) for a in layers]
    batches = max(1, len(x) // BATCH)
    for step in range(1, epochs * batches + 1):
        if (step - 1) % batches == 0:
            order = rng.permutation(len(x))
        at = (step - 1) % batches * BATCH
        rows = order[at : at + BATCH]
        rate = RATE * (0.5 + 0.5 * np.cos(np.pi * step / (epochs * batches)))
        for number, change in enumerate(changes(layers, x[rows], rows, slope)):
            first[number] = 0.9 * first[number] + 0.1 * change
            second[number] = 0.999 * second[number] + 0.001 * change**2
            unit = first[number] / (1 - 0.9**step) / (np.sqrt(second[number] / (1 - 0.999**step)) + 1e-8)
            pull = ridge if number in (0, 2) else 0.0
            layers[number][...] -= (rate * (unit + pull * layers[number])).astype(np.float32)
    return layers


def changes(layers: Layers, x: Floats, rows: NDArray[np.int64], slope: Slope) -> Layers:
    """The slope of the mean loss by each layer."""
    active = np.maximum(x @ layers[0] + layers[1], 0)
    out = slope(active @ layers[2] + layers[3], rows) / np.float32(len(rows))
    back = out @ layers[2].T * (active > 0)
    return x.T @ back, back.sum(axis=0), active.T @ out, out.sum(axis=0)
