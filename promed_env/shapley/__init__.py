"""Shapley values: of any game (`estimators`), and of the two games that a case is (`games`, `docs/sig.md`)."""

from promed_env.shapley.estimators import Method, ShapleyEstimate, ValueFunction, shapley_values
from promed_env.shapley.games import annotate, case_shapley, table_shapley

__all__ = ["Method", "ShapleyEstimate", "ValueFunction", "annotate", "case_shapley", "shapley_values", "table_shapley"]
