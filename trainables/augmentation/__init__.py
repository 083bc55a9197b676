"""Random changes of training images: the transforms, the named recipes, and mixing.

It stands on `trainables.hyperparameters` alone. Features and training import it.
"""
