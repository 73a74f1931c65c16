"""The model's gradient is the slope of its loss, and following it downwards learns."""

import numpy as np
import pytest

from gateway.demo.model import Descent, confusion, forward_backward, initial_parameters, predict

RANDOM = np.random.default_rng(1)
IMAGES = RANDOM.random((40, 6)).astype(np.float32)
LABELS = (IMAGES[:, 0] * 10).astype(np.int64)


@pytest.mark.parametrize("name", ["w1", "b1", "w2", "b2"])
def test_the_gradient_is_the_slope(name: str) -> None:
    # In float64, so that a difference of losses has digits left.
    parameters = {key: values.astype(np.float64) for key, values in initial_parameters(6, 12, RANDOM).items()}
    gradient = forward_backward(parameters, IMAGES, LABELS).gradients[name]  # type: ignore[arg-type]
    where = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    losses = []
    for change in (-1e-6, 1e-6):
        changed = {key: values.copy() for key, values in parameters.items()}
        changed[name][where] += change
        losses.append(forward_backward(changed, IMAGES, LABELS).loss)  # type: ignore[arg-type]
    assert (losses[1] - losses[0]) / 2e-6 == pytest.approx(gradient[where], rel=1e-4)


def test_descent_learns() -> None:
    parameters = initial_parameters(6, 32, np.random.default_rng(2))
    descent = Descent(parameters, rate=0.1)
    first = forward_backward(parameters, IMAGES, LABELS)
    for _ in range(300):
        descent.step(forward_backward(parameters, IMAGES, LABELS).gradients)
    last = forward_backward(parameters, IMAGES, LABELS)
    assert last.loss < first.loss / 4
    assert (predict(parameters, IMAGES) == LABELS).mean() > 0.8
    np.testing.assert_array_equal(predict(parameters, IMAGES), last.predicted)
    assert {values.dtype for values in parameters.values()} == {np.dtype(np.float32)}


def test_a_hopeless_guess_has_a_finite_loss() -> None:
    parameters = initial_parameters(6, 12, RANDOM)
    parameters["b2"][0] = 1e6
    assert np.isfinite(forward_backward(parameters, IMAGES, LABELS).loss)


def test_confusion() -> None:
    matrix = confusion(np.array([1, 1, 2]), np.array([1, 3, 2]))
    assert matrix.dtype == np.int64
    assert matrix.sum() == 3
    assert (matrix[1, 1], matrix[1, 3], matrix[2, 2]) == (1, 1, 1)
