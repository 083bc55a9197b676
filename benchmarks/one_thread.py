"""Import this before numpy: it keeps the libraries of linear algebra at one thread, in started processes as well."""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
