"""A Weights & Biases sweep-driven study of normalization in small image networks."""

__version__ = "0.1.0"
