import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hpo import plugins
from hpo.errors import UnknownName, UserError
from hpo.space import Fidelity, Float, SearchSpace, Task
from hpo.space.objectives import RESERVED_NAMES

Write = Callable[[dict[str, str]], None]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes modules of a user's own into a folder on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(sources: dict[str, str]) -> None:
        for name, source in sources.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)

    return write


def install(folder: Path, group: str, **modules: str) -> None:
    """A distribution as pip leaves it, which offers modules by entry points."""
    info = folder / "outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    points = "".join(f"{name} = {module}\n" for name, module in modules.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{points}")


def test_the_files_of_a_package_are_its_plug_ins_but_for_those_with_an_underscore() -> None:
    assert plugins.names("trainables.models")["small_cnn"] == "trainables.models.small_cnn"
    assert all(not name.startswith("_") for name in plugins.names("hpo.backends"))
    assert list(plugins.names("trainables.datasets")) == sorted(plugins.names("trainables.datasets"))


@pytest.mark.parametrize("package", ["trainables.regimes", "trainables.models"])
def test_every_hyperparameter_can_be_searched_because_no_column_of_the_result_has_its_name(package: str) -> None:
    for module in plugins.names(package).values():
        assert not RESERVED_NAMES & set(plugins.hyperparameters(module) or ()), module


def test_an_entry_point_is_a_plug_in_by_its_name(tmp_path: Path, outside: Write) -> None:
    outside({"evolution_a": "def build(): ...\n"})
    install(tmp_path, "hpo.backends", evolution="evolution_a")
    assert plugins.names("hpo.backends")["evolution"] == "evolution_a"
    assert plugins.module_name("hpo.backends", "evolution") == "evolution_a"
    assert plugins.load("hpo.backends", "evolution").__name__ == "evolution_a"
    assert "evolution" not in plugins.names("hpo.runners")


def test_what_is_installed_into_a_folder_of_the_path_later_is_found(tmp_path: Path, outside: Write) -> None:
    outside({"evolution_b": "def build(): ...\n"})
    assert "evolution" not in plugins.names("hpo.backends")
    install(tmp_path, "hpo.backends", evolution="evolution_b")
    assert plugins.names("hpo.backends")["evolution"] == "evolution_b"


def test_a_bundled_plug_in_precedes_an_entry_point_of_its_name(tmp_path: Path, outside: Write) -> None:
    install(tmp_path, "trainables.models", small_cnn="elsewhere")
    assert plugins.module_name("trainables.models", "small_cnn") == "trainables.models.small_cnn"


def test_an_unknown_name_is_told_the_nearest_all_that_are_allowed_and_how_to_bring_ones_own() -> None:
    with pytest.raises(UnknownName) as caught:
        plugins.module_name("trainables.models", "smal_cnn")
    assert "unknown model 'smal_cnn'; did you mean 'small_cnn'? (allowed: " in str(caught.value)
    assert str(caught.value).endswith("; a module of your own is named package.module")


def test_a_dotted_name_is_a_module_of_ones_own(outside: Write) -> None:
    outside({"own_b/regime": "def build(): ...\n"})
    assert plugins.module_name("trainables.regimes", "own_b.regime") == "own_b.regime"
    assert callable(plugins.load("trainables.regimes", "own_b.regime").build)


@pytest.mark.parametrize(
    "name", ["own_c.regim", "own_d.regime", "own_c.regime.more", ".regime", "own_c.", "__main__.x"]
)
def test_a_misspelt_dotted_name_is_found_before_anything_starts(outside: Write, name: str) -> None:
    outside({"own_c/regime": "raise AssertionError('imported')\n"})
    with pytest.raises(UnknownName, match="unknown regime module"):
        plugins.module_name("trainables.regimes", name)


def test_the_error_of_a_missing_package_says_where_it_was_looked_for() -> None:
    with pytest.raises(UnknownName, match=r"there is no package 'own_z' in the working directory /.*, in PYTHONPATH"):
        plugins.module_name("trainables.regimes", "own_z.regime")


def test_a_misspelt_module_is_told_the_nearest_in_its_package(outside: Write) -> None:
    outside({"own_e/regime": ""})
    with pytest.raises(UnknownName, match=r"did you mean 'own_e\.regime'"):
        plugins.module_name("trainables.regimes", "own_e.regim")


def test_a_module_is_found_without_importing_the_packages_around_it(outside: Write) -> None:
    outside(
        {
            "own_f/__init__": "raise AssertionError('imported')\n",
            "own_f/regime": "HYPERPARAMETERS = {'x': 'a number'}\n",
        }
    )
    assert plugins.module_name("trainables.regimes", "own_f.regime") == "own_f.regime"
    assert plugins.hyperparameters("own_f.regime") == {"x": "a number"}


@pytest.mark.slow
def test_no_module_but_the_one_loaded_is_imported_and_never_torch() -> None:
    code = (
        "import sys\nfrom hpo import plugins, spacefile\n"
        "for path in spacefile.bundled().values(): spacefile.read(path)\n"
        "for package in plugins.registry.NOUNS: plugins.names(package)\n"
        "heavy = {'torch', 'optuna', 'pandas'}\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in {*heavy, 'trainables'}))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == (
        "['trainables', 'trainables.errors']\n"
    )


def test_a_plug_in_without_build_is_a_mistake(outside: Write) -> None:
    outside({"own_g/empty": "build = 3\n"})
    with pytest.raises(UserError, match="has no function `build`"):
        plugins.load("trainables.models", "own_g.empty")


def test_a_variant_of_a_family_is_what_the_family_makes_of_its_name(outside: Write) -> None:
    outside(
        {"own_v/family": "class variant:\n    def __init__(self, name): self.name = name\n    def build(self): ...\n"}
    )
    assert plugins.module_name("trainables.models", "own_v.family:large") == "own_v.family"
    loaded = plugins.load("trainables.models", "own_v.family:large")
    assert (loaded.name, callable(loaded.build)) == ("large", True)


def test_a_family_without_a_variant_and_a_variant_of_no_family_are_mistakes(outside: Write) -> None:
    outside({"own_w/family": "def variant(name): ...\n", "own_w/model": "def build(): ...\n"})
    with pytest.raises(UserError, match=r"has no function `build`; name a variant, as own_w\.family:NAME$"):
        plugins.load("trainables.models", "own_w.family")
    with pytest.raises(UserError, match=r"has no function `variant`; name it own_w\.model$"):
        plugins.load("trainables.models", "own_w.model:large")


def test_what_a_family_declares_its_variants_read(outside: Write) -> None:
    outside({"own_x/family": "HYPERPARAMETERS = {'depth': 'a number'}\n"})
    task = Task(regime="from_scratch", model="own_x.family:large")
    assert plugins.problem_lines(SearchSpace("s", {"depth": Float(0, 1)}, Fidelity(9), task)) == []


def test_a_package_that_is_missing_is_named(outside: Write) -> None:
    outside({"own_h/needy": "import not_installed_anywhere.deep\n"})
    with pytest.raises(UserError) as caught:
        plugins.load("trainables.models", "own_h.needy")
    assert str(caught.value) == "model 'own_h.needy' needs not_installed_anywhere, which is not installed"


@pytest.mark.parametrize(
    ("missing", "package", "name", "extra"),
    [("torch", "trainables.models", "small_cnn", "train"), ("optuna", "hpo.backends", "optuna", "optuna")],
)
def test_a_bundled_plug_in_names_the_extra_that_brings_what_is_missing(
    missing: str, package: str, name: str, extra: str
) -> None:
    code = (
        f"import sys\nsys.modules[{missing!r}] = None\nfrom hpo import errors, plugins\n"
        f"try: plugins.load({package!r}, {name!r})\n"
        "except errors.UserError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.endswith(f" needs {missing}, which is not installed; install it by: pip install 'hpo[{extra}]'\n")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("from hpo import no_such_thing\n", ImportError),
        ("import hpo.no_such_module\n", ModuleNotFoundError),
        ("1 / 0\n", ZeroDivisionError),
    ],
)
def test_a_fault_in_a_plug_in_is_not_taken_for_a_missing_package(
    outside: Write, source: str, error: type[Exception]
) -> None:
    outside({"own_i/faulty": source})
    with pytest.raises(error):
        plugins.load("trainables.models", "own_i.faulty")


def test_a_regime_of_ones_own_that_declares_nothing_may_read_anything_but_known_values_still_hold(
    outside: Write,
) -> None:
    outside({"own_n/regime": "def build(): ...\n", "own_n/model": "HYPERPARAMETERS = {'act': ['relu']}\n"})
    task, domains = Task(regime="own_n.regime", model="own_n.model"), {"lr": Float(0, 1)}
    assert plugins.problem_lines(SearchSpace("s", domains, Fidelity(9), task, {"anything": 1, "act": "relu"})) == []
    assert plugins.problem_lines(SearchSpace("s", domains, Fidelity(9), task, {"act": "rely"})) == [
        "fixed.act: 'rely' is unknown; did you mean 'relu'? (allowed: relu)"
    ]
