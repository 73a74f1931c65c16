"""Admission of a gateway that is full."""

from __future__ import annotations

from gateway.connections.admission.admission import Admission
from gateway.connections.admission.population import Population
from gateway.connections.admission.settings import AdmissionSettings


def full() -> Admission:
    """Return an admission that takes nobody."""
    return Admission(0, AdmissionSettings(), Population(), lambda: 0.5)
