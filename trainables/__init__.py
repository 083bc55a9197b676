"""trainables trains image classifiers. It knows no search and no trial, and never imports `hpo`.

`trainable.py` holds the two central types: the Trainable, which a search trains epoch by epoch, and the TransferModel,
the network inside it. `data` holds images and splits, `training` the loops over batches. The folders `models`,
`datasets` and `regimes` hold the plug-ins, one file for each.

A module that reads keys of a configuration declares them in a literal dictionary `HYPERPARAMETERS`: a list holds the
allowed values, a text describes the value. A module that hands its configuration on names the receiving modules in a
literal `READS_ALSO`. `RANGES` says which numbers a hyperparameter may be, and `WHEN` with which values of others it has
an effect (`hpo/plugins/declared_rules.py`). All are read from the source file without importing it.
"""
