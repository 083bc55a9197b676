from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import confusion_matrix
from torch import nn

from tests.trainables import toys
from trainables import model_inspection
from trainables.data.dataset import Part, SearchData
from trainables.models import softmax_regression
from trainables.regimes import from_scratch, pretrain_then_head
from trainables.seeding import seed_everything
from trainables.trainable import TransferModel
from trainables.training.cross_validation import CrossValidation

CONFIG = {"lr": 0.01, "batch_size": 16}


def part(labels: list[int], size: int = 8) -> Part:
    return Part(torch.rand(len(labels), 1, size, size), torch.tensor(labels))


def conv_model(n_channels: int) -> TransferModel:
    return TransferModel({"only": nn.Conv2d(n_channels, 5, 3)}, nn.Flatten())


def test_the_filters_are_the_weights_of_the_first_convolution() -> None:
    model = toys.model()
    assert np.array_equal(model_inspection.filters(model, (1, 8, 8)), toys.first_weight(model).numpy())


def test_the_filters_of_a_linear_layer_on_the_pixels_have_the_shape_of_an_image() -> None:
    model = softmax_regression.build({}, shape=(3, 4, 5), n_classes=7, weights="none")
    found = model_inspection.filters(model, (3, 4, 5))
    assert found.shape == (7, 3, 4, 5)
    assert np.array_equal(found[2].ravel(), model.get_parameter("head.weight")[2].detach().numpy())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (TransferModel({"only": nn.Flatten()}, nn.Linear(9, 2)), "neither a convolution nor linear on the pixels"),
        (TransferModel({"only": nn.Flatten()}, nn.Identity()), "neither a convolution nor linear on the pixels"),
        (conv_model(2), "looks at 2 channels: 1 or 3"),
    ],
)
def test_filters_that_are_no_pictures_are_refused(model: TransferModel, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model_inspection.filters(model, (2, 8, 8))


def test_maps_are_those_before_and_after_the_relu_and_at_the_end_of_the_stage() -> None:
    model = toys.model()
    image = toys.part(1, seed=3).images
    before, after, end = model_inspection.activations(model, "first", image)
    assert [maps.name for maps in (before, after, end)] == ["before ReLU", "after ReLU", "after first"]
    stage = model.stages["first"]
    assert isinstance(stage, nn.Sequential)
    for maps, n_layers in ((before, 2), (after, 3), (end, 4)):
        expected = stage[:n_layers](model.preprocess(image))
        assert np.array_equal(maps.values, expected[0].detach().numpy())


def test_a_relu_in_place_does_not_hide_what_came_before_it() -> None:
    model = TransferModel({"only": nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True))}, nn.Flatten())
    before, after = model_inspection.activations(model, "only", torch.rand(1, 1, 8, 8) - 0.5)
    assert before.values.min() < 0 == after.values.min()
    assert np.array_equal(after.values, before.values.clip(min=0))


def test_a_stage_without_relu_shows_its_end_alone_and_the_stages_before_it_are_run() -> None:
    model = TransferModel({"one": nn.Conv2d(1, 2, 3), "two": nn.AvgPool2d(2)}, nn.Flatten())
    image = torch.rand(1, 1, 8, 8)
    (maps,) = model_inspection.activations(model, "two", image)
    assert maps.name == "after two"
    assert np.array_equal(maps.values, model.features(image)[0].detach().numpy())


def test_looking_at_activations_leaves_no_hook_behind() -> None:
    model = toys.model()
    model_inspection.activations(model, "first", toys.part(1, seed=3).images)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_stage_that_is_not_there_or_gives_no_maps_is_named() -> None:
    model = TransferModel({"maps": nn.Conv2d(1, 2, 3), "vector": nn.Sequential(nn.Flatten(), nn.ReLU())}, nn.Identity())
    with pytest.raises(ValueError, match=r"no stage 'map' \(allowed: maps, vector\)"):
        model_inspection.activations(model, "map", torch.rand(1, 1, 8, 8))
    with pytest.raises(ValueError, match="'vector' gives no maps"):
        model_inspection.activations(model, "vector", torch.rand(1, 1, 8, 8))


def test_features_are_what_the_head_sees_in_evaluation_mode() -> None:
    model, images = toys.model().train(), toys.part(150, seed=1)
    found = model_inspection.features(model, images)
    assert found.shape == (150, 32)
    assert np.allclose(found, model.eval().features(images.images).flatten(1).detach().numpy(), atol=1e-6)


def test_a_sample_holds_each_class_in_proportion_out_of_training_and_validation() -> None:
    def block(label: int, n: int) -> Part:
        return Part(torch.full((n, 1, 2, 2), float(label)), torch.full((n,), label))

    def joined(*parts: Part) -> Part:
        return Part(torch.cat([each.images for each in parts]), torch.cat([each.labels for each in parts]))

    data = SearchData(joined(block(0, 300), block(1, 60)), joined(block(1, 30), block(2, 10)), ("a", "b", "c"))
    found = model_inspection.sample(data, 40)
    assert torch.bincount(found.labels).tolist() == [30, 9, 1]
    assert torch.equal(found.images[:, 0, 0, 0].long(), found.labels)
    assert len(model_inspection.sample(data, 1000)) == 400


def test_a_sample_is_the_same_each_time() -> None:
    one, two = (model_inspection.sample(toys.data(), 50) for _ in range(2))
    assert torch.equal(one.images, two.images)


@pytest.mark.parametrize("n_features", [2, 100])
def test_the_plane_keeps_apart_what_lies_apart_and_is_the_same_each_time(n_features: int) -> None:
    labels = np.arange(60) % 2
    features = np.random.default_rng(0).normal(size=(60, n_features)).astype(np.float32) + 50 * labels[:, None]
    points = model_inspection.embedding(features)
    assert points.shape == (60, 2)
    middles = np.array([points[labels == label].mean(axis=0) for label in (0, 1)])
    distances = np.linalg.norm(points[:, None] - middles, axis=2)
    assert np.array_equal(distances.argmin(axis=1), labels)
    assert np.array_equal(points, model_inspection.embedding(features))


def test_features_without_a_plane_are_refused() -> None:
    with pytest.raises(ValueError, match="the features of all 9 images are alike"):
        model_inspection.embedding(np.ones((9, 5), dtype=np.float32))
    with pytest.raises(ValueError, match="3 images of 5 features are too few"):
        model_inspection.embedding(np.eye(3, 5, dtype=np.float32))


def test_an_image_file_is_brought_to_what_the_model_sees(tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (40, 20), (255, 0, 0)).save(path)
    colour, grey = model_inspection.read(path, (3, 8, 8), {}), model_inspection.read(path, (1, 8, 8), {})
    assert colour.shape == (1, 3, 8, 8)
    assert colour.dtype == grey.dtype == torch.uint8
    assert colour[0, :, 4, 4].tolist() == [255, 0, 0]
    assert set(grey.flatten().tolist()) == {76}


def test_an_image_file_is_cut_or_squashed_as_the_configuration_says(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    image = Image.new("L", (40, 20))
    image.paste(255, (0, 0, 10, 20))
    image.save(path)
    assert model_inspection.read(path, (1, 8, 8), {}).max() < 128
    assert model_inspection.read(path, (1, 8, 8), {"resize": "squash"}).max() == 255


def test_a_file_is_decoded_as_the_configuration_says(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8)).save(tmp_path / "clear.png")
    assert model_inspection.read(tmp_path / "clear.png", (3, 8, 8), {}).max() == 0
    assert model_inspection.read(tmp_path / "clear.png", (3, 8, 8), {"background": "white"}).min() == 255


def test_a_file_that_is_no_image_and_a_model_of_no_squares_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(ValueError, match="cannot be read as an image"):
        model_inspection.read(path, (1, 8, 8), {})
    Image.new("L", (9, 9)).save(path)
    with pytest.raises(ValueError, match="only of square ones"):
        model_inspection.read(path, (1, 8, 6), {})


def test_mistakes_are_the_wrong_images_the_surest_first_with_the_likeliest_classes() -> None:
    images = part([0, 1, 2, 3])
    probabilities = [[0.35, 0.6, 0.05, 0.0], [0.0, 1.0, 0.0, 0.0], [0.7, 0.05, 0.15, 0.1], [0.1, 0.2, 0.3, 0.4]]
    found = model_inspection.misclassified(torch.tensor(probabilities), images, ("a", "b", "c", "d"))
    assert found["true"].tolist() == ["c", "a"]
    assert found["top"].tolist() == [["a", "c", "d"], ["b", "a", "c"]]
    assert np.allclose(found["probabilities"], [[0.7, 0.15, 0.1], [0.6, 0.35, 0.05]])
    assert (int(found["n_wrong"]), int(found["n"])) == (2, 4)
    assert np.array_equal(found["images"], (images.images[[2, 0]] * 255).round().numpy().astype(np.uint8))


def test_of_many_mistakes_48_are_kept_as_small_images() -> None:
    images = Part(torch.randint(256, (60, 3, 300, 224), dtype=torch.uint8), torch.zeros(60, dtype=torch.int64))
    found = model_inspection.misclassified(torch.tensor([[0.1, 0.9]] * 60), images, ("a", "b"))
    assert found["images"].shape == (48, 3, 112, 83)
    assert found["top"].shape == found["probabilities"].shape == (48, 2)
    assert int(found["n_wrong"]) == 60


def test_without_a_mistake_there_is_nothing_to_show() -> None:
    found = model_inspection.misclassified(torch.tensor([[0.9, 0.1]]), part([0], size=200), ("a", "b"))
    assert (len(found["images"]), len(found["true"]), int(found["n_wrong"])) == (0, 0, 0)


@given(st.data())
def test_the_confusion_counts_are_those_of_scikit_learn(drawn: st.DataObject) -> None:
    n, n_classes = drawn.draw(st.integers(1, 40)), drawn.draw(st.integers(2, 8))
    labels = torch.tensor(drawn.draw(st.lists(st.integers(0, n_classes - 1), min_size=n, max_size=n)))
    probabilities = torch.rand(n, n_classes, generator=torch.Generator().manual_seed(drawn.draw(st.integers(0, 99))))
    counts = model_inspection.confusion_counts(probabilities, labels)
    expected = confusion_matrix(labels, probabilities.argmax(dim=1), labels=range(n_classes))
    assert np.array_equal(counts, expected)


def test_the_model_is_found_in_a_training_in_phases_and_in_the_first_of_some_folds() -> None:
    seed_everything(0)
    plain = from_scratch.build(CONFIG, toys.model(), toys.data(), "cpu")
    phases = pretrain_then_head.build(CONFIG, toys.model(), toys.data(), "cpu")
    assert model_inspection.model(plain) is plain.model  # type: ignore[attr-defined]
    assert model_inspection.model(phases) is phases.model  # type: ignore[attr-defined]
    assert model_inspection.model(CrossValidation([plain, phases])) is plain.model  # type: ignore[attr-defined]
    for none in (SimpleNamespace(), SimpleNamespace(model=nn.Identity())):
        with pytest.raises(ValueError, match="no `model` of named stages"):
            model_inspection.model(none)
