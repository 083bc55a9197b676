from pathlib import Path

import pytest

from tests.trainables.declarations import ROOT, literals

TRAINABLES = ROOT / "trainables"
DECLARING = [path for path in sorted(TRAINABLES.rglob("*.py")) if literals(path)]
PLUGINS = [
    path
    for folder in ("regimes", "models")
    for path in sorted((TRAINABLES / folder).glob("*.py"))
    if path.stem[0] != "_"
]


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_every_regime_and_model_declares_its_hyperparameters(path: Path) -> None:
    assert "HYPERPARAMETERS" in literals(path)


@pytest.mark.parametrize("path", DECLARING, ids=lambda path: path.stem)
def test_a_declaration_is_a_list_of_values_or_says_what_the_value_is(path: Path) -> None:
    for key, allowed in literals(path).get("HYPERPARAMETERS", {}).items():
        assert key.isidentifier()
        assert isinstance(allowed, str | list), key
        assert allowed, key


@pytest.mark.parametrize("path", DECLARING, ids=lambda path: path.stem)
def test_a_configuration_is_handed_on_to_modules_that_declare_what_they_read(path: Path) -> None:
    for module in literals(path).get("READS_ALSO", ()):
        assert "HYPERPARAMETERS" in literals(ROOT / (module.replace(".", "/") + ".py"))


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.stem)
def test_every_regime_and_model_has_a_test_of_its_own(path: Path) -> None:
    assert (ROOT / "tests" / path.relative_to(ROOT).with_name(f"test_{path.name}")).exists()
