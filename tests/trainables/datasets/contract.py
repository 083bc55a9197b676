"""What every data set must keep. A data set's test subclasses DataSetContract and says what is its own."""

from collections.abc import Set
from pathlib import Path
from types import ModuleType

import torch

from trainables.heldout import held_out
from trainables.splits import DataSet, Part, split


class DataSetContract:
    dataset: ModuleType
    """The module under test."""
    name: str
    n_training: int
    n_held_out: int
    shape: tuple[int, int, int]

    def build(self, root: Path | None = None) -> DataSet:
        built: DataSet = self.dataset.build(root)
        return built

    def test_its_parts_have_the_stated_sizes(self) -> None:
        dataset = self.build()
        assert dataset.name == self.name
        assert (len(dataset.training()), len(held_out(dataset))) == (self.n_training, self.n_held_out)
        assert dataset.training().shape == held_out(dataset).shape == self.shape

    def test_every_class_has_a_name_of_its_own_and_samples_in_both_parts(self) -> None:
        dataset = self.build()
        assert len(set(dataset.classes)) == len(dataset.classes)
        for part in (dataset.training(), held_out(dataset)):
            assert set(part.labels.tolist()) == set(range(len(dataset.classes)))

    def test_no_held_out_image_is_one_to_train_or_validate_on(self) -> None:
        dataset = self.build()
        unseen = contents(held_out(dataset))
        data = split(dataset, fraction=0.2, seed=1)
        assert not unseen & contents(dataset.training())
        assert not unseen & (contents(data.train) | contents(data.validation))

    def test_no_image_to_validate_on_is_one_to_train_on(self) -> None:
        data = split(self.build(), fraction=0.2, seed=1)
        assert not contents(data.train) & contents(data.validation)

    def test_it_is_the_same_whenever_and_under_whatever_seed_it_is_built(self) -> None:
        torch.manual_seed(1)
        one = self.build()
        torch.manual_seed(2)
        other = self.build()
        for first, second in ((one.training(), other.training()), (held_out(one), held_out(other))):
            assert torch.equal(first.images, second.images)
            assert torch.equal(first.labels, second.labels)


def contents(part: Part) -> Set[bytes]:
    """The pixels of each image: what makes two images the same."""
    return {image.numpy().tobytes() for image in part.images}
