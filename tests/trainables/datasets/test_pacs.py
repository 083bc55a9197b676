from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.trainables.datasets.contract import FilesContract, contents, counts, held_out, real_data, samples
from tests.trainables.datasets.pictures import folders
from trainables.datasets import pacs
from trainables.errors import SetupError


class PacsContract(FilesContract):
    dataset = pacs
    folder = "pacs/cartoon"
    classes = ("dog", "giraffe", "house")

    def lay_out(self, root: Path) -> None:
        n = folders(root / "pacs/cartoon", {"house": 34, "dog": 50, "giraffe": 36})
        folders(root / "pacs/photo", {"dog": 10, "house": 10}, first=n)


class TestFull(PacsContract):
    options: ClassVar[dict[str, Any]] = {"domain": "cartoon", "variant": "full"}
    name = "pacs cartoon"
    n_training = (45, 32, 31)
    n_held_out = (5, 4, 3)

    def test_it_is_what_is_meant_where_no_variant_is_named(self, root: Path) -> None:
        assert samples(pacs.build(root, domain="cartoon")) == samples(self.build(root))

    def test_a_domain_is_a_data_set_of_its_own(self, root: Path) -> None:
        dataset = pacs.build(root, domain="photo")
        assert (dataset.name, dataset.classes) == ("pacs photo", ("dog", "house"))
        assert not contents(dataset.training()) & contents(self.build(root).training())

    def test_a_class_too_small_to_hold_out_a_tenth_is_named(self, root: Path) -> None:
        folders(root / "pacs/cartoon", {"horse": 4}, first=1000)
        with pytest.raises(
            SetupError,
            match=r"data set 'pacs cartoon': class 'horse' has 4 images; to hold out a share of 0.1, 10 are needed$",
        ):
            self.build(root)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "`dataset.domain` must be one of art_painting, cartoon, photo, sketch, but is None"),
            ({"domain": "clipart"}, "`dataset.domain` must be one of .*, but is 'clipart'"),
            ({"domain": ["cartoon"]}, r"`dataset.domain` must be one of .*, but is \['cartoon'\]"),
            (
                {"domain": "cartoon", "variant": "half"},
                "`dataset.variant` must be one of full, few_shot, but is 'half'",
            ),
        ],
    )
    def test_a_wrong_option_is_named(self, root: Path, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            pacs.build(root, **options)


class TestFewShot(PacsContract):
    options: ClassVar[dict[str, Any]] = {"domain": "cartoon", "variant": "few_shot"}
    name = "pacs cartoon few_shot"
    n_training = TestFull.n_held_out
    n_held_out = TestFull.n_training

    def test_it_exchanges_the_parts_of_the_full_variant(self, root: Path) -> None:
        training, unseen = samples(pacs.build(root, domain="cartoon"))
        assert samples(self.build(root)) == [unseen, training]


@pytest.mark.slow
def test_the_real_cartoons_have_the_known_sizes_and_none_is_in_both_parts() -> None:
    dataset = pacs.build(real_data(), domain="cartoon")
    training, unseen = counts(dataset)
    assert dataset.classes == ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
    assert (sum(training), sum(unseen)) == (2108, 236)
    assert not contents(dataset.training()) & contents(held_out(dataset))
