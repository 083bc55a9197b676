import inspect
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from tests.trainables.declarations import ROOT, literals, source

TRAINABLES = ROOT / "trainables"
DECLARING = [path for path in sorted(TRAINABLES.rglob("*.py")) if literals(path)]
PLUGINS = [
    path
    for folder in ("regimes", "models")
    for path in sorted((TRAINABLES / folder).glob("*.py"))
    if path.stem[0] != "_"
]
DATASETS = [path for path in sorted((TRAINABLES / "datasets").glob("*.py")) if path.stem[0] != "_"]


@pytest.mark.parametrize("path", DATASETS, ids=lambda path: path.stem)
def test_a_data_set_is_built_and_fetched_with_the_options_that_it_declares(path: Path) -> None:
    module, options = import_module(f"trainables.datasets.{path.stem}"), list(literals(path).get("OPTIONS", {}))
    for function in (module.build, getattr(module, "fetch", None)):
        if function is not None:
            first, *others = inspect.signature(function).parameters
            if others == ["options"]:  # of any name: a dataclass has them
                others = [field.name for field in fields(module.Options)]
            assert (first, others) == ("root", options)


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_every_regime_and_model_declares_its_hyperparameters(path: Path) -> None:
    assert "HYPERPARAMETERS" in literals(path)


@pytest.mark.parametrize("path", DECLARING, ids=lambda path: path.stem)
def test_a_declaration_is_a_list_of_values_or_says_what_the_value_is(path: Path) -> None:
    found = literals(path)
    for key, allowed in [*found.get("HYPERPARAMETERS", {}).items(), *found.get("OPTIONS", {}).items()]:
        assert key.isidentifier()
        assert isinstance(allowed, str | list), key
        assert allowed, key


@pytest.mark.parametrize("path", DECLARING, ids=lambda path: path.stem)
def test_a_configuration_is_handed_on_to_modules_that_declare_what_they_read(path: Path) -> None:
    for module in literals(path).get("READS_ALSO", ()):
        assert "HYPERPARAMETERS" in literals(source(module))


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_every_regime_and_model_has_a_test_of_its_own(path: Path) -> None:
    assert (ROOT / "tests" / path.relative_to(ROOT).with_name(f"test_{path.name}")).exists()
