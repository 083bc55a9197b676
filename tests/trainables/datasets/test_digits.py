import hashlib
from pathlib import Path

from tests.trainables.datasets.contract import DataSetContract, contents
from trainables.datasets import digits
from trainables.heldout import held_out


class TestDigits(DataSetContract):
    dataset = digits
    name = "digits"
    n_training = 1437
    n_held_out = 360
    shape = (1, 8, 8)

    def test_grey_values_reach_from_0_to_1(self) -> None:
        images = self.build().training().images
        assert (float(images.min()), float(images.max())) == (0, 1)

    def test_no_two_images_are_alike(self) -> None:
        dataset = self.build()
        assert len(contents(dataset.training()) | contents(held_out(dataset))) == 1797

    def test_classes_are_held_out_in_equal_shares(self) -> None:
        counts = held_out(self.build()).labels.bincount().tolist()
        assert all(34 <= count <= 38 for count in counts)

    def test_the_folder_of_data_sets_is_not_touched(self, tmp_path: Path) -> None:
        self.build(tmp_path / "missing")
        assert not list(tmp_path.iterdir())

    def test_the_held_out_part_is_the_one_that_earlier_results_were_measured_on(self) -> None:
        part = held_out(self.build())
        content = part.images.numpy().tobytes() + part.labels.numpy().tobytes()
        assert hashlib.sha256(content).hexdigest()[:16] == "f61c9b9dd2f6e871"
