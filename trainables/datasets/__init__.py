"""The data sets: one file a data set.

A file of this folder (or a module named by an entry point of the group `trainables.datasets`) offers

    OPTIONS = {"domain": ["cartoon", "photo"], "seed": "what it means"}     where it has any, as a literal
    build(root: Path | None, **options) -> DataSet
    fetch(root: Path, **options) -> None                                    where it can be downloaded

where `root` is the folder that data sets are kept in, each in a folder of its own; None is allowed for those that
need no file. `build` downloads nothing: where files are missing, its SetupError says which, and how to get them. An
option that is not given, or None, takes its default.
"""
