"""The exceptions ProMed raises: one small hierarchy, every message says what, where and what to do."""

from __future__ import annotations

__all__ = ["BackendError", "BeliefRequired", "DatasetError", "InvalidAction", "ProMedError", "UninformativeBelief"]


class ProMedError(Exception):
    """Base class of everything ProMed raises on purpose."""


class DatasetError(ProMedError, ValueError):
    """A data set, or a row of one, cannot be used as it is."""


class BeliefRequired(ProMedError, ValueError):
    """A reward needs a belief over the options that the case at hand does not carry."""


class BackendError(ProMedError, RuntimeError):
    """An optional component (a model, a server, an extra) is missing or does not answer."""


class InvalidAction(ProMedError, TypeError):
    """An action is not a string: the one mistake that `step` reports by raising."""


class UninformativeBelief(ProMedError, ValueError):
    """A language model is no better than chance on the cases whose facts it is to weigh."""
