import hashlib
from pathlib import Path

import numpy as np

from tests.trainables.datasets.contract import DataSetContract, contents, held_out
from trainables.data.dataset import Part
from trainables.datasets import digits


class TestDigits(DataSetContract):
    dataset = digits
    name = "digits"
    classes = tuple("0123456789")
    n_training = (142, 146, 142, 146, 145, 145, 145, 143, 139, 144)
    n_held_out = (36, 36, 35, 37, 36, 37, 36, 36, 35, 36)

    def test_images_are_8_pixels_a_side_and_grey_values_reach_from_0_to_1(self) -> None:
        part = self.build(None).training()
        assert isinstance(part, Part)
        assert part.shape == (1, 8, 8)
        assert (float(part.images.min()), float(part.images.max())) == (0, 1)

    def test_no_two_images_are_alike(self) -> None:
        dataset = self.build(None)
        assert len(contents(dataset.training()) | contents(held_out(dataset))) == 1797

    def test_the_folder_of_data_sets_is_not_touched(self, tmp_path: Path) -> None:
        self.build(tmp_path / "missing")
        assert not list(tmp_path.iterdir())

    def test_the_held_out_part_is_the_one_that_earlier_results_were_measured_on(self) -> None:
        part = held_out(self.build(None))
        assert isinstance(part, Part)
        content = part.images.numpy().tobytes() + part.labels.numpy().tobytes()
        assert hashlib.sha256(content).hexdigest()[:16] == "f61c9b9dd2f6e871"


def test_the_images_are_those_that_scikit_learn_gives() -> None:
    assert np.array_equal(digits.rows(), digits.rows("another/place.csv.gz"))
