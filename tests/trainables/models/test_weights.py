import logging
import re
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from trainables.errors import SetupError
from trainables.models import _weights


def network() -> nn.Sequential:
    """A convolution with BatchNorm, and a last layer, "2."."""
    return nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.Linear(3, 5))


def saved(content: object, path: Path) -> str:
    torch.save(content, path)
    return str(path)


def loaded(path: str | Path) -> nn.Sequential:
    built = network()
    _weights.load_into(built, path, head="2.", model="three_layers")
    return built


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert value.dtype == other[key].dtype
        assert torch.equal(value, other[key]), key


def test_filters_are_read_with_the_channels_of_a_place_together(tmp_path: Path) -> None:
    state = _weights.read(saved(nn.Conv2d(4, 3, 2).state_dict(), tmp_path / "some.pth"))
    assert state["weight"].is_contiguous(memory_format=torch.channels_last)
    assert not state["weight"].is_contiguous()


@pytest.mark.parametrize("name", ["some.pth", "some.pt", "some.safetensors"])
def test_what_is_saved_is_read_again(name: str, tmp_path: Path) -> None:
    if name.endswith(".safetensors"):
        pytest.importorskip("safetensors")
    state = network().state_dict()
    path = tmp_path / "new" / "folder" / name
    _weights.save(state, path)
    assert_equal(_weights.read(path), dict(state))
    assert list(_weights.read(str(path))) == list(state) or name.endswith(".safetensors")
    assert [each.name for each in path.parent.iterdir()] == [name]


def test_tensors_that_share_memory_are_saved_each_by_itself(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    both = torch.arange(6.0)
    _weights.save({"whole": both, "start": both[:2], "even": both[::2]}, tmp_path / "some.safetensors")
    read = {name: value.tolist() for name, value in _weights.read(tmp_path / "some.safetensors").items()}
    assert read == {"whole": [0, 1, 2, 3, 4, 5], "start": [0, 1], "even": [0, 2, 4]}


def test_a_file_is_replaced_and_never_written_over(tmp_path: Path) -> None:
    path, link = tmp_path / "some.pth", tmp_path / "link.pth"
    _weights.save({"a": torch.ones(1)}, path)
    link.hardlink_to(path)
    _weights.save({"a": torch.zeros(1)}, path)
    assert _weights.read(path)["a"].tolist() == [0]
    assert _weights.read(link)["a"].tolist() == [1]


def test_real_numbers_of_any_precision_become_float32_and_whole_ones_stay(tmp_path: Path) -> None:
    state = {name: torch.tensor([1.5]).to(getattr(torch, name)) for name in ("float16", "bfloat16", "float64")}
    read = _weights.read(saved(state | {"count": torch.tensor(7)}, tmp_path / "some.pth"))
    assert [(value.dtype, value.tolist()) for value in read.values()] == [
        *[(torch.float32, [1.5])] * 3,
        (torch.int64, 7),
    ]


def test_each_number_gets_memory_of_its_own(tmp_path: Path) -> None:
    read = _weights.read(saved({"a": torch.ones(1).expand(4)}, tmp_path / "some.pth"))
    read["a"][0] = 2
    assert read["a"].tolist() == [2, 1, 1, 1]


def test_the_prefix_of_data_parallel_is_left_out_where_every_key_has_it(tmp_path: Path) -> None:
    one = saved({"module.a": torch.ones(1), "module.b": torch.ones(1)}, tmp_path / "one.pth")
    other = saved({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "other.pth")
    assert list(_weights.read(one)) == ["a", "b"]
    assert list(_weights.read(other)) == ["module.a", "b"]


def test_a_path_without_a_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.pth", tmp_path):
        words = f"`weights` must be none, imagenet or the path of a state dict, but is '{path}': no file"
        with pytest.raises(SetupError, match=re.escape(words)):
            _weights.read(path)


@pytest.mark.parametrize("name", ["some.pth", "some.safetensors"])
@pytest.mark.parametrize("kept", [0, 30, 500])
def test_a_damaged_file_is_refused_by_name(name: str, kept: int, tmp_path: Path) -> None:
    if name.endswith(".safetensors"):
        pytest.importorskip("safetensors")
    path = tmp_path / name
    _weights.save(network().state_dict(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(SetupError, match=f"`weights`: {path} (cannot be read, get the file again|is damaged)"):
        _weights.read(path)


@pytest.mark.parametrize(
    "content", [torch.ones(2), [torch.ones(2)], {}, {"epoch": 3}, {"state_dict": {"a": 1}}, {1: 2}]
)
def test_a_file_that_holds_no_state_dict_is_refused(content: object, tmp_path: Path) -> None:
    path = saved(content, tmp_path / "some.pth")
    with pytest.raises(SetupError, match=f"`weights`: {path} holds no state dict"):
        _weights.read(path)


def test_a_whole_pickled_model_is_refused_and_not_run(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="holds more than tensors: save the state dict of the model alone"):
        _weights.read(saved(network(), tmp_path / "some.pth"))


def test_a_file_of_safetensors_without_that_package_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)  # what Python calls a module that is not there
    path = tmp_path / "some.safetensors"
    path.write_bytes(b"any")
    with pytest.raises(SetupError, match="needs the package safetensors: pip install safetensors"):
        _weights.read(path)


def test_a_network_gets_all_but_its_head(tmp_path: Path) -> None:
    torch.manual_seed(1)
    source, built = network(), network()
    own = {key: value.clone() for key, value in built.state_dict().items()}
    _weights.load_into(built, saved(source.state_dict(), tmp_path / "some.pth"), head="2.", model="three_layers")
    for key, value in built.state_dict().items():
        assert torch.equal(value, (own if key.startswith("2.") else source.state_dict())[key]), key


def test_the_head_of_a_file_may_have_any_form_or_be_missing(tmp_path: Path) -> None:
    state = dict(network().state_dict())
    loaded(saved(state | {"2.weight": torch.ones(1000, 3), "2.extra": torch.ones(1)}, tmp_path / "some.pth"))
    loaded(saved({key: value for key, value in state.items() if not key.startswith("2.")}, tmp_path / "some.pth"))


def test_a_network_on_the_meta_device_gets_weights_that_train(tmp_path: Path) -> None:
    source = network()
    with torch.device("meta"):
        built = network()
    _weights.load_into(built, saved(source.state_dict(), tmp_path / "some.pth"), head="2.", model="three_layers")
    assert built[2].weight.is_meta
    assert_equal(dict(built[:2].state_dict()), dict(source[:2].state_dict()))
    assert all(parameter.requires_grad for parameter in built.parameters())


def test_a_file_that_counts_no_batches_is_taken(tmp_path: Path) -> None:
    state = OrderedDict((key, value) for key, value in network().state_dict().items() if "num_batches" not in key)
    assert loaded(saved(state, tmp_path / "some.pth"))[1].num_batches_tracked == 0


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"0.weight": None, "1.weight": None}, "it has no '0.weight'"),
        ({"3.weight": torch.ones(1)}, "it has '3.weight', which the model has not"),
        ({"1.bias": torch.ones(4)}, "'1.bias' is (4,), but in the model (3,)"),
    ],
)
def test_weights_of_another_model_are_refused_by_their_first_difference(
    change: dict[str, Tensor | None], difference: str, tmp_path: Path
) -> None:
    state = {key: value for key, value in {**network().state_dict(), **change}.items() if value is not None}
    path = saved(state, tmp_path / "some.pth")
    with pytest.raises(SetupError) as caught:
        loaded(path)
    assert str(caught.value) == (
        f"`weights`: {path} holds weights of another model than three_layers: {difference}; "
        "give a state dict of three_layers, or none"
    )


def test_a_checkpoint_loads_as_its_state_dict_does_and_a_line_says_how(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = network().state_dict()
    averaged = {f"module.{key}": value + 1 for key, value in state.items()}
    path = saved({"epoch": 3, "state_dict": state, "state_dict_ema": averaged}, tmp_path / "some.pth.tar")
    with caplog.at_level(logging.WARNING):
        built = loaded(path)
    assert torch.equal(built.state_dict()["0.weight"], state["0.weight"] + 1)
    assert [record.getMessage() for record in caplog.records] == [
        f"`weights`: {path}: the weights are its entry 'state_dict_ema' (and not 'state_dict'); "
        "the prefix 'module.' of their keys is removed"
    ]


def test_a_plain_state_dict_loads_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    loaded(saved(network().state_dict(), tmp_path / "some.pth"))
    assert not caplog.records


def test_a_checkpoint_of_another_model_is_refused_and_the_error_says_what_was_read(tmp_path: Path) -> None:
    state = {f"model.{key}": value for key, value in network().state_dict().items() if key != "1.bias"}
    path = saved({"state_dict": state}, tmp_path / "some.pth")
    words = (
        "than three_layers: it has no '1.bias' (the weights are its entry 'state_dict'; the prefix 'model.' of their "
        "keys is removed); give a state dict of three_layers, or none"
    )
    with pytest.raises(SetupError, match=re.escape(words)):
        loaded(path)


def test_imagenet_weights_are_found_in_their_folder(tmp_path: Path) -> None:
    path = tmp_path / "some.pth"
    with pytest.raises(SetupError) as caught:
        _weights.find("some.pth", tmp_path, "resnet18")
    assert str(caught.value) == (
        f"`weights`: the ImageNet weights of resnet18 are not there: put the state dict at {path}, "
        "or download it by: hpo fetch --model resnet18"
    )
    path.touch()
    assert _weights.find("some.pth", tmp_path, "resnet18") == path


def test_weights_for_a_model_that_has_none_are_refused() -> None:
    _weights.refuse("none", "small")
    with pytest.raises(ValueError, match="small has no pretrained weights: `weights` must be none, but is 'imagenet'"):
        _weights.refuse("imagenet", "small")
