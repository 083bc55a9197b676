"""The model families (ground floor of training): one file a family.

A file of this folder (or a module named by an entry point of the group `trainables.models`) offers

    build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel

for images of `shape` (channels, height, width), and the literal `HYPERPARAMETERS`.
"""
