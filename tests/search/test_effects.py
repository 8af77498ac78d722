"""The model of effects against closed forms, numerical integration and scikit-learn."""
import math

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct

from autotricks.tuning.effect_model import LEVEL, EffectModel, Observation, expected_improvement, normal_cdf

COLUMNS = 5
MEAN, VARIANCE = np.array([0.3, -0.1, 0.0, 0.05, 0.2]), np.array([0.04, 0.09, 0.01, 0.25, 0.0025])


def seen(count: int, seed: int = 0) -> list[Observation]:
    """Return observations of bundles of about half of the columns, with noise of different sizes."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, 2, (count, COLUMNS)) * rng.uniform(0.5, 1.0, (count, COLUMNS))
    return [Observation(vector, float(rng.normal(1.0, 0.5)), float(noise))
            for vector, noise in zip(vectors, rng.uniform(0.1, 0.4, count), strict=True)]


def arrays(observations):
    return (np.array([one.vector for one in observations]), np.array([one.score for one in observations]),
            np.array([one.noise for one in observations]))


ASKED = np.array([[0.0] * 5, [1.0, 0, 0, 0, 0], [0, 1.0, 1.0, 0, 0.5], [1.0] * 5, [0.2, 0.9, 0, 0.6, 0.1]])


def test_without_a_residual_it_is_bayesian_linear_regression():
    """By the precision matrix (Bishop 2006, equations 3.50 and 3.51): S = (P + X' N X)^-1, m = S (P m0 + X' N y).

    The first weight is the score of a bundle without tricks.
    """
    observations = seen(12)
    vectors, scores, noise = arrays(observations)
    design, asked = (np.column_stack([np.ones(len(rows)), rows]) for rows in (vectors, ASKED))
    precision = np.diag(1 / np.array([LEVEL ** 2, *VARIANCE]))
    spread = np.linalg.inv(precision + design.T @ np.diag(noise ** -2) @ design)
    weights = spread @ (precision @ np.array([0.0, *MEAN]) + design.T @ (scores / noise ** 2))
    model = EffectModel(MEAN, VARIANCE, 1e-7, 2.0)
    model.learn(observations)
    mean, sd = model.predict(ASKED)
    assert mean.tolist() == pytest.approx((asked @ weights).tolist(), abs=1e-8)
    assert sd.tolist() == pytest.approx(np.sqrt(np.einsum("nd,de,ne->n", asked, spread, asked)).tolist(), abs=1e-6)
    effects, spreads = model.effects()
    assert effects.tolist() == pytest.approx(weights[1:].tolist(), abs=1e-8)
    assert spreads.tolist() == pytest.approx(np.sqrt(np.diag(spread))[1:].tolist(), abs=1e-6)


@pytest.mark.parametrize(("residual", "length"), [(0.15, 2.0), (0.5, 0.7)])
def test_with_a_residual_it_is_the_gaussian_process_of_scikit_learn(residual, length):
    """Columns are scaled by their standard deviations, so that a dot product has their variances."""
    observations = seen(15, seed=1)
    vectors, scores, noise = arrays(observations)
    scale = np.sqrt(VARIANCE)
    kernel = DotProduct(LEVEL) + ConstantKernel(residual ** 2) * RBF(length * scale)
    theirs = GaussianProcessRegressor(kernel, alpha=noise ** 2, optimizer=None)
    theirs.fit(vectors * scale, scores - vectors @ MEAN)
    expected, sds = theirs.predict(ASKED * scale, return_std=True)
    model = EffectModel(MEAN, VARIANCE, residual, length)
    model.learn(observations)
    mean, sd = model.predict(ASKED)
    assert mean.tolist() == pytest.approx((expected + ASKED @ MEAN).tolist(), abs=1e-7)
    assert sd.tolist() == pytest.approx(sds.tolist(), abs=1e-7)


def test_before_it_learns_it_says_what_is_known_before():
    model = EffectModel(MEAN, VARIANCE, 0.15, 2.0)
    for learned in (False, True):
        if learned:
            model.learn([])
        mean, sd = model.predict(ASKED)
        assert mean.tolist() == pytest.approx((ASKED @ MEAN).tolist())
        assert sd.tolist() == pytest.approx(np.sqrt(LEVEL ** 2 + 0.15 ** 2 + ASKED ** 2 @ VARIANCE).tolist())
        effects, spreads = model.effects()
        assert effects.tolist() == pytest.approx(MEAN.tolist())
        assert spreads.tolist() == pytest.approx(np.sqrt(VARIANCE).tolist())


def test_it_forgets_what_it_knew_when_it_learns_again():
    model, fresh = EffectModel(MEAN, VARIANCE, 0.15, 2.0), EffectModel(MEAN, VARIANCE, 0.15, 2.0)
    model.learn(seen(20, seed=2))
    model.learn(seen(6, seed=3))
    fresh.learn(seen(6, seed=3))
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(model.predict(ASKED), fresh.predict(ASKED)))


def test_the_mean_of_many_scores_is_what_a_bundle_is_worth():
    """A hundred scores of noise 0.2 leave 0.02; the level takes all of it, since nothing is known of it before."""
    model = EffectModel(np.zeros(1), np.array([1e-12]), 1e-6, 2.0)
    model.learn([Observation(np.zeros(1), score, 0.2) for score in (1.0, 2.0) * 50])
    mean, sd = model.predict(np.zeros((1, 1)))
    weight = LEVEL ** 2 / (LEVEL ** 2 + 0.2 ** 2 / 100)
    assert mean[0] == pytest.approx(1.5 * weight) and sd[0] == pytest.approx(0.02, abs=1e-5)


@pytest.mark.parametrize("best", [-1.0, 0.0, 0.4, 2.5])
@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (0.5, 0.1), (-2.0, 0.7), (1.0, 3.0)])
def test_expected_improvement_is_an_integral(mean, sd, best):
    """Of max(x - best, 0) under the normal density, by the trapezoid rule over eleven deviations either way."""
    x = np.linspace(mean - 11 * sd, mean + 11 * sd, 400_001)
    density = np.exp(-((x - mean) / sd) ** 2 / 2) / (sd * math.sqrt(2 * math.pi))
    integral = np.trapezoid(np.maximum(x - best, 0) * density, x)
    found = expected_improvement(np.array([mean]), np.array([sd]), best)
    assert found.tolist() == pytest.approx([integral], abs=1e-8)


def test_expected_improvement_is_that_of_each():
    each = [expected_improvement(np.array([mean]), np.array([sd]), 0.3)[0] for mean, sd in ((0.1, 0.2), (0.5, 0.01))]
    assert expected_improvement(np.array([0.1, 0.5]), np.array([0.2, 0.01]), 0.3).tolist() == pytest.approx(each)
    assert each[1] == pytest.approx(0.2), "what is sure to be better by 0.2"


def test_normal_cdf_by_the_table_of_the_normal_distribution():
    assert normal_cdf(np.array([0.0, 1.0, -1.0, 1.96])).tolist() == pytest.approx(
        [0.5, 0.8413, 0.1587, 0.975], abs=5e-5)
