"""hpo searches for the best training configuration of an image classifier, and proves it on held-out data."""

__version__ = "0.1.0"
