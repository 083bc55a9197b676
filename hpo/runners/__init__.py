"""The runners: who executes trials. One file a runner; `_runner.py` is the Protocol.

They stand on `hpo.training` and `hpo.devices`, and import no backend and no record.
"""
