"""The smoother against the plain way: all states at once as one Gaussian, given all that was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import expm

from ingest.geo import Floats
from ingest.kalman import (
    ACCELERATION_MPS2,
    ACCELERATION_S,
    ERROR,
    POSITION,
    SLOW_ERROR_S,
    UNKNOWN_MPS,
    VELOCITY,
    Measured,
    Way,
)

SLOW_M, WHITE_M, VELOCITY_MPS = 3.0, 2.0, 0.4


def process(dt: float) -> tuple[Floats, Floats]:
    """Transition and growth of the covariance from the differential equation (Van Loan 1978)."""
    drift = np.zeros((4, 4))
    drift[0, 1] = drift[1, 2] = 1.0
    drift[2, 2], drift[3, 3] = -1 / ACCELERATION_S, -1 / SLOW_ERROR_S
    noise = np.diag([0.0, 0.0, 2 * ACCELERATION_MPS2**2 / ACCELERATION_S, 2 * SLOW_M**2 / SLOW_ERROR_S])
    whole = expm(np.block([[-drift, noise], [np.zeros((4, 4)), drift.T]]) * dt)
    step = whole[4:, 4:].T
    return step, step @ whole[:4, 4:]


def at_once(measured: Measured, moments: Floats) -> tuple[Floats, Floats]:
    """States (n, 4, 2) and covariances (n, 4, 4) at all moments, some of them those of the fixes."""
    n = len(moments)
    first = (measured.position[1] - measured.position[0]) / (measured.s[1] - measured.s[0])
    mean = np.zeros((n, 4, 2))
    cov = np.zeros((n, 4, n, 4))
    mean[0, :2] = measured.position[0], first
    cov[0, :, 0] = np.diag([100 * (WHITE_M**2 + SLOW_M**2), UNKNOWN_MPS**2, ACCELERATION_MPS2**2, SLOW_M**2])
    for k in range(1, n):
        step, growth = process(float(moments[k] - moments[k - 1]))
        mean[k] = step @ mean[k - 1]
        cov[k, :, :k] = np.einsum("ij,jkl->ikl", step, cov[k - 1, :, :k])
        cov[:k, :, k] = np.moveaxis(cov[k, :, :k], 0, -1)
        cov[k, :, k] = step @ cov[k - 1, :, k - 1] @ step.T + growth
    rows, noise, told = [], [], []
    for s, position, velocity in zip(measured.s, measured.position, measured.velocity, strict=True):
        row = np.zeros((2, n, 4))
        row[0, moments == s, [POSITION, ERROR]] = row[1, moments == s, VELOCITY] = 1.0
        known = [True, bool(np.isfinite(velocity).all())]
        rows.append(row.reshape(2, -1)[known])
        noise.append(np.array([WHITE_M**2, VELOCITY_MPS**2])[known])
        told.append(np.array([position, velocity])[known])
    seen, spread = np.vstack(rows), cov.reshape(4 * n, 4 * n)
    gain = np.linalg.solve(seen @ spread @ seen.T + np.diag(np.concatenate(noise)), seen @ spread).T
    state = mean.reshape(-1, 2) + gain @ (np.vstack(told) - seen @ mean.reshape(-1, 2))
    left = spread - gain @ seen @ spread
    return state.reshape(n, 4, 2), np.array([left[i : i + 4, i : i + 4] for i in range(0, 4 * n, 4)])


def measured(s: Floats, velocity: bool) -> Measured:
    random = np.random.default_rng(3)
    position = np.column_stack([8 * s, 20 * np.sin(s / 5)]) + random.normal(0, 2, (len(s), 2))
    known = np.column_stack([np.full(len(s), 8.0), 4 * np.cos(s / 5)]) + random.normal(0, 0.4, (len(s), 2))
    known[1 if velocity else slice(None)] = math.nan
    return Measured(
        s=s,
        position=position,
        velocity=known,
        white_m=np.full(len(s), WHITE_M),
        slow_m=np.full(len(s), SLOW_M),
        velocity_mps=np.full(len(s), VELOCITY_MPS),
    )


@pytest.mark.parametrize("velocity", [True, False])
def test_forward_and_backward_tells_what_all_fixes_at_once_tell(velocity: bool) -> None:
    fixes = measured(np.array([0.0, 1.0, 1.1, 2.1, 5.0, 14.0, 15.0]), velocity)
    moments = np.sort(np.concatenate([fixes.s, [0.3, 1.05, 4.99, 8.0]]))
    states, covs = at_once(fixes, moments)
    way = Way(fixes)
    for s, state, cov in zip(moments, states, covs, strict=True):
        found, found_cov = way.at(float(s))
        assert found == pytest.approx(state, abs=1e-5)
        assert found_cov == pytest.approx(cov, abs=1e-5)


def test_a_moment_outside_the_fixes_is_not_told() -> None:
    way = Way(measured(np.arange(4.0), True))
    for s in (-0.01, 3.01):
        with pytest.raises(ValueError, match="outside"):
            way.at(s)


def test_a_way_needs_fixes() -> None:
    with pytest.raises(ValueError, match="needs fixes"):
        Way(measured(np.zeros(0), False))


def test_fixes_a_millisecond_apart_keep_the_covariance_positive() -> None:
    way = Way(measured(np.arange(400) * 1e-3, True))
    for s in (0.0, 0.1234, 0.399):
        assert np.linalg.eigvalsh(way.at(s)[1]).min() > 0
