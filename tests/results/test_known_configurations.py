"""Known configurations of a table."""

from pathlib import Path

from hpo.record import Budget, Settings, StudyFolder
from hpo.results.known_configurations import best_of, read_csv
from hpo.space import Categorical, Domain, Fidelity, Float, SearchSpace
from hpo.trial import Config, Report, Suggestion


def test_a_cell_is_the_choice_that_a_table_writes_so(tmp_path: Path) -> None:
    choices = (None, "null", 1, "1.5", True, "yes", (64, 64))
    space = SearchSpace("cells", {"x": Categorical(choices)}, Fidelity(1))
    cells = ("null", '"""null"""', "1", "1.5", "True", "yes", '"[64, 64]"')
    (tmp_path / "known.csv").write_text("x,other\n" + "".join(f"{cell},0\n" for cell in cells) + ",0\n")
    assert repr([config["x"] for config in read_csv(tmp_path / "known.csv", space)]) == repr(list(choices))


def test_what_the_study_fixed_is_part_of_its_best_configurations_as_far_as_it_fits(tmp_path: Path) -> None:
    x, high = {"x": Float(0.0, 1.0)}, Fidelity(1)
    fixed: Config = {"optimizer": "sgd", "momentum": 0.9, "batch_size": 16, "beta": 0.5}
    study = StudyFolder(tmp_path, SearchSpace("earlier", x, high, fixed=fixed), Settings(), Budget())
    ledger = study.begin()
    ledger.suggest(Suggestion(0, {"x": 0.25}, 1))
    ledger.record(Report(0, 1, 0.5, {"val_loss": 0.5}, 1.0))
    ledger.close()
    momentum = Float(0.0, 1.0, when={"optimizer": ("sgd",)})
    domains: dict[str, Domain] = {**x, "optimizer": Categorical(("sgd", "adam")), "momentum": momentum}
    domains["batch_size"] = Categorical((32, 64))
    domains["beta"] = Float(0.0, 1.0, when={"optimizer": ("adam",)})
    configs, lines = best_of(study, SearchSpace("now", domains, high), 5)
    assert configs == [{"x": 0.25, "optimizer": "sgd", "momentum": 0.9}]  # 16 is no choice, and beta is not active
    assert lines == []
