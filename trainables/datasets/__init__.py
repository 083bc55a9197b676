"""Data sets, one file for each.

A data set is a file of this folder, a module of your own (named by its import path), or a module that is registered as
an entry point of the group `trainables.datasets`. It defines

    build(root: Path | None, **options) -> DataSet

and, if it has options or can be downloaded,

    OPTIONS = {"domain": ["cartoon", "photo"], "seed": "what it means"}
    fetch(root: Path, **options) -> None

`root` is the folder of all data sets; each has a folder of its own in it. It may be None for data sets that need no
files. `build` returns the data set with its training and its held-out part. It downloads nothing: if files are missing,
raise SetupError with a message that says which, and how to get them. `OPTIONS` is a literal: each option with a
description or with the allowed values. An option that is missing or None takes its default. `fetch` raises
DownloadError if the download fails, and SetupError for a wrong option.

    PATHS = ("folder",)

names options that are paths. A relative one is looked up beside the space, in the working directory and in `root`.
`build` gets the whole path if it was found in one of the first two.

A data set may have `left_out`, a sequence of `LeftOut`: the files beside its images, which `hpo data` names.
"""
