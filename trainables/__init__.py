"""trainables trains image classifiers: it knows no search, no trial and no `hpo`.

`splits` and `trainable` hold the central types, `engine` the loops over batches. What trains (`regimes`),
what is trained (`models`) and on what (`datasets`) are folders: one file is one plug-in.

Configuration keys are declared, never guessed: a module that reads keys says which in a literal
`HYPERPARAMETERS` (a list: the values allowed; a text: what the value is), and a module that hands its
configuration on says to whom in a literal `READS_ALSO`. Both are read from the file without importing it.
"""
