"""Random changes of training images: transforms, named recipes of transforms, and mixing of images.

This package uses only `trainables.hyperparameters` and `trainables.errors`. Features and training import it.
"""
