"""Known configurations of a table."""

from pathlib import Path

from hpo.results.known_configurations import read_csv
from hpo.space import Categorical, Fidelity, SearchSpace


def test_a_cell_is_the_choice_that_a_table_writes_so(tmp_path: Path) -> None:
    choices = (None, "null", 1, "1.5", True, "yes", (64, 64))
    space = SearchSpace("cells", {"x": Categorical(choices)}, Fidelity(1))
    cells = ("null", '"""null"""', "1", "1.5", "True", "yes", '"[64, 64]"')
    (tmp_path / "known.csv").write_text("x,other\n" + "".join(f"{cell},0\n" for cell in cells) + ",0\n")
    assert repr([config["x"] for config in read_csv(tmp_path / "known.csv", space)]) == repr(list(choices))
