"""Matrix: small positive definite matrices in plain numbers, row by row in one vector, for code that is compiled.

Where a matrix is this small, calling a library costs more than the work itself.
"""

from __future__ import annotations

import math

from librt.vecs import vec
from mypy_extensions import i64


def zeros(n: i64) -> vec[float]:
    """n zeros."""
    return vec[float]([0.0] * n)


def cholesky(a: vec[float], n: i64) -> float:
    """Put the lower factor of an (n, n) in its place, and return its log determinant. Raises ValueError when it is not
    positive definite."""
    log_det = 0.0
    for j in range(n):
        row = j * n
        d = a[row + j]
        for k in range(j):
            v = a[row + k]
            d -= v * v
        if not d > 0.0:
            raise ValueError("matrix is not positive definite")
        d = math.sqrt(d)
        a[row + j] = d
        log_det += math.log(d)
        for i in range(j + 1, n):
            below = i * n
            s = a[below + j]
            for k in range(j):
                s -= a[below + k] * a[row + k]
            a[below + j] = s / d
    return 2.0 * log_det


def invert_lower(a: vec[float], n: i64) -> None:
    """Put the inverse of a lower (n, n) factor in its place."""
    for j in range(n):
        a[j * n + j] = 1.0 / a[j * n + j]
        for i in range(j + 1, n):
            row = i * n
            s = 0.0
            for k in range(j, i):
                s -= a[row + k] * a[k * n + j]
            a[row + j] = s / a[row + i]


def inverse_at(low: vec[float], n: i64, r: i64, c: i64) -> float:
    """An entry of the inverse of the (n, n) whose lower factor has the inverse `low`."""
    s = 0.0
    for k in range(max(r, c), n):
        s += low[k * n + r] * low[k * n + c]
    return s
