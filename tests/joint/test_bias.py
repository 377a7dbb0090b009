"""The curve of a vehicle's position error is what Gaussian conditioning says, written out with numpy."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from librt.vecs import vec
from mypy_extensions import i64

from dispatcher.joint.bias import ALONG_M, OVER_S, UNKNOWN, Fit, Window
from dispatcher.joint.matrix import cholesky, zeros
from dispatcher.joint.seen import LOG_2PI, Seen
from ingest.geo import Floats, latlon_from_offset
from vision.sighting import Sighting

BEGUN = datetime(2026, 11, 18, 1, tzinfo=UTC)


def seen(n: int) -> Seen:
    lat, lon = latlon_from_offset(22.54, 114.06, 37.0 * n, 11.0 * (n % 3))
    sighting = Sighting(
        id=f"s{n}",
        pass_id="p",
        vehicle="bus-1",
        camera="right",
        kind="garbage",
        matter="01001",
        confidence=0.9,
        seen_at=BEGUN + timedelta(seconds=4 * n),
        lat=lat,
        lon=lon,
        covariance_m2=(12.0 + n, 1.5, 11.0),
        shared_covariance_m2=(9.0 + n, 1.0, 8.0),
        frames=5,
        model="test",
        evidence=None,
    )
    return Seen.of(sighting, n, "garbage", 0)


def square(a: float, b: float, c: float) -> Floats:
    return np.array([[a, b], [b, c]])


def prior_of(window: Window, drift: list[float]) -> Floats:
    """(2N, 2N), from the definition."""
    n = len(window.seens)
    out = np.zeros((2 * n, 2 * n))
    for i, a in enumerate(window.seens):
        for j, b in enumerate(window.seens):
            apart = np.hypot(window.east[i] - window.east[j], window.north[i] - window.north[j])
            alike = np.exp(-apart / ALONG_M - abs(a.at - b.at) / OVER_S)
            common = square(*a.root) @ square(*b.root) + np.sqrt(drift[i] * drift[j]) * np.eye(2)
            out[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] = common * alike
    return out


@pytest.fixture
def window() -> Window:
    window = Window([seen(n) for n in range(5)])
    window.adrift(vec[float]([UNKNOWN, 0.4, UNKNOWN, UNKNOWN, 0.9]))
    return window


def test_where_the_map_was_never_seen_its_drift_is_that_of_the_nearest(window: Window) -> None:
    assert list(window.drift) == [0.4, 0.4, 0.4, 0.9, 0.9]
    np.testing.assert_allclose(list(window.prior), prior_of(window, list(window.drift)).ravel(), rtol=1e-12)


def test_the_curve_is_conditioned_on_what_was_measured(window: Window) -> None:
    used, error = [0, 2, 3], [1.0, -2.0, 0.5, -1.0, 0.0, 1.0]
    noise = [1.0, 0.2, 1.5, 0.5, 0.0, 0.7, 2.0, -0.3, 1.0]
    curve = Fit(window, vec[i64](used), vec[float](error), vec[float](noise))
    prior = prior_of(window, list(window.drift))
    columns = [2 * i + axis for i in used for axis in (0, 1)]
    total = prior[np.ix_(columns, columns)].copy()
    for m in range(3):
        total[2 * m : 2 * m + 2, 2 * m : 2 * m + 2] += square(*noise[3 * m : 3 * m + 3])
    inverse = np.linalg.inv(total)
    across = prior[:, columns]
    mean, spread = across @ inverse @ error, prior - across @ inverse @ across.T
    for i in range(5):
        ee, en, nn = spread[2 * i, 2 * i], spread[2 * i, 2 * i + 1], spread[2 * i + 1, 2 * i + 1]
        assert curve.at(i) == pytest.approx((mean[2 * i], mean[2 * i + 1], ee, en, nn))
    chi2 = np.array(error) @ inverse @ error
    assert curve.log_likelihood == pytest.approx(-0.5 * chi2 - 0.5 * np.linalg.slogdet(total)[1] - 3 * LOG_2PI)

    # had the last not measured, the curve there would be that of the others
    fewer = Fit(window, vec[i64](used[:2]), vec[float](error[:4]), vec[float](noise[:6]))
    assert curve.without([2]) == pytest.approx(fewer.at(3))


def test_without_a_measurement_nothing_is_known(window: Window) -> None:
    nothing = Fit(window, vec[i64]([]), vec[float]([]), vec[float]([]))
    prior = prior_of(window, list(window.drift))
    assert nothing.log_likelihood == 0.0
    assert nothing.at(1) == pytest.approx((0.0, 0.0, prior[2, 2], prior[2, 3], prior[3, 3]))


def test_far_from_all_that_was_seen_the_curve_is_forgotten(window: Window) -> None:
    curve = Fit(window, vec[i64]([0, 4]), vec[float]([5.0, 5.0, 5.0, 5.0]), vec[float]([0.1, 0.0, 0.1] * 2))
    here = curve.curve().near(*window.seens[0].reported)
    assert here == pytest.approx(curve.at(0))
    away = curve.curve().near(*latlon_from_offset(22.54, 114.06, -4000.0, 0.0))
    prior = prior_of(window, list(window.drift))
    assert away[:2] == pytest.approx((0.0, 0.0), abs=1e-3)
    assert away[2:] == pytest.approx((prior[0, 0], prior[0, 1], prior[1, 1]), rel=1e-3)


def test_a_matrix_that_is_none_of_a_covariance_is_refused() -> None:
    with pytest.raises(ValueError, match="positive definite"):
        cholesky(zeros(4), 2)
