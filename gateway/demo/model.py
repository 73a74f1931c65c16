"""Model of the demo: a classifier with one hidden layer, and its training, in numpy. Knows nothing of streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Parameters = dict[str, Floats]

CLASSES: Final = 10


@dataclass(frozen=True, slots=True)
class Pass:
    """Result of a forward and backward pass over one batch."""

    loss: float
    """Mean cross-entropy."""
    activations: Floats
    """Outputs of the hidden layer, (batch, hidden)."""
    predicted: Labels
    """Predicted classes, (batch,)."""
    gradients: Parameters
    """Gradients by the names of the parameters."""


def initial_parameters(inputs: int, hidden: int, random: np.random.Generator) -> Parameters:
    """Return random weights (He et al. 2015), and biases of 0."""

    def weights(rows: int, columns: int) -> Floats:
        values: Floats = (random.standard_normal((rows, columns)) * np.sqrt(2 / rows)).astype(np.float32)
        return values

    return {
        "w1": weights(inputs, hidden),
        "b1": np.zeros(hidden, np.float32),
        "w2": weights(hidden, CLASSES),
        "b2": np.zeros(CLASSES, np.float32),
    }


def hidden_layer(parameters: Parameters, images: Floats) -> Floats:
    """Return the rectified output of the hidden layer, (batch, hidden)."""
    hidden: Floats = np.maximum(images @ parameters["w1"] + parameters["b1"], 0)
    return hidden


def predict(parameters: Parameters, images: Floats) -> Labels:
    """Return the likeliest class of each image, (batch,)."""
    scores = hidden_layer(parameters, images) @ parameters["w2"] + parameters["b2"]
    likeliest: Labels = scores.argmax(axis=1)
    return likeliest


def forward_backward(parameters: Parameters, images: Floats, labels: Labels) -> Pass:
    """Return the softmax loss of a batch, and its gradients.

    Args:
        parameters: the parameters of the model.
        images: the batch, (batch, inputs).
        labels: its classes, (batch,), below 10.
    """
    batch = np.arange(len(labels))
    activations = hidden_layer(parameters, images)
    scores = activations @ parameters["w2"] + parameters["b2"]
    scores -= scores.max(axis=1, keepdims=True)
    probabilities = np.exp(scores)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    loss = -np.log(np.maximum(probabilities[batch, labels], np.finfo(np.float32).tiny)).mean()
    predicted = probabilities.argmax(axis=1)

    to_scores = probabilities
    to_scores[batch, labels] -= 1
    to_scores /= len(labels)
    to_hidden = to_scores @ parameters["w2"].T * (activations > 0)
    gradients = {
        "w1": images.T @ to_hidden,
        "b1": to_hidden.sum(axis=0),
        "w2": activations.T @ to_scores,
        "b2": to_scores.sum(axis=0),
    }
    return Pass(float(loss), activations, predicted, gradients)


class Descent:
    """Stochastic gradient descent with momentum.

    Args:
        parameters: changed in place by each step.
        rate: the learning rate.
        momentum: the share of the last step in the next one.
    """

    def __init__(self, parameters: Parameters, *, rate: float = 0.02, momentum: float = 0.9) -> None:
        self._parameters = parameters
        self._rate = rate
        self._momentum = momentum
        self._velocity = {name: np.zeros_like(values) for name, values in parameters.items()}

    def step(self, gradients: Parameters) -> None:
        """Change the parameters by one step against their gradients."""
        for name, gradient in gradients.items():
            velocity = self._velocity[name]
            velocity *= self._momentum
            velocity -= self._rate * gradient
            self._parameters[name] += velocity


def confusion(labels: Labels, predicted: Labels) -> npt.NDArray[np.int64]:
    """Return how often class i (row) was classified as j (column), as int64 (10, 10)."""
    matrix: npt.NDArray[Any] = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix
