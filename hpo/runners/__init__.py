"""The runners, which train trials. There is one file for each runner; `_runner.py` is the Protocol.

They use `hpo.training` and `hpo.devices`, and do not import backends or the record.
"""
