"""Networks: a file without a leading underscore is one that a user can name."""

from vfuse.models._registry import MODELS, ModelEntry, Output, Weights

__all__ = ["MODELS", "ModelEntry", "Output", "Weights"]
