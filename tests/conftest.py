"""What all tests share: one thread of torch a process, so that workers and tests do not fight for the cores.

And a store on disk of its own for each process of tests; with `HPO_CACHE=off` they run without one.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

if os.environ.get("HPO_CACHE", "").lower() != "off":
    os.environ["HPO_CACHE"] = tempfile.mkdtemp(prefix="hpo-store-")
    atexit.register(shutil.rmtree, os.environ["HPO_CACHE"], ignore_errors=True)

# Torch then asks for large pages of memory, so that large networks are built a little faster.
os.environ["THP_MEM_ALLOC_ENABLE"] = "1"

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
