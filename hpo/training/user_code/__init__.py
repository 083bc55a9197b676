"""The user's own training code: its forms, and the digest that tells whether it changed."""

from __future__ import annotations

from hpo.training.user_code.code_digest import digest
from hpo.training.user_code.forms import Build, build, is_generator_function, name_of, uncached

__all__ = ["Build", "build", "digest", "is_generator_function", "name_of", "uncached"]
