"""The data sets (ground floor of training): one file a data set.

A file of this folder (or a module named by an entry point of the group `trainables.datasets`) offers

    build(root: Path | None) -> DataSet

where `root` is the folder that data sets are kept in; None is allowed for those that need no file.
"""
