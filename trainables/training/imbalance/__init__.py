"""Imbalanced classes: class weights in the loss, and balanced sampling of the training part.

This package uses `trainables.hyperparameters` and `trainables.training.epochs`. `trainables.training` imports it.
"""
