import importlib.util
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.trainables import toys
from tests.trainables.regimes.contract import EVERY, RegimeContract, part_of
from tests.trainables.states import loaded, saved
from trainables import vision
from trainables.errors import SetupError
from trainables.hyperparameters import Config
from trainables.regimes import lora
from trainables.seeding import seed_everything
from trainables.trainable import HEAD, TransferModel
from trainables.training.gradient_descent import Training

needs_peft = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("peft", "timm")), reason="peft and timm are extras"
)

ATTENTION, MLP = ("attn.qkv", "attn.proj"), ("mlp.fc1", "mlp.fc2")
PATHS = {"qkv": ATTENTION[:1], "qkv+proj": ATTENTION, "all": ATTENTION + MLP}
"""The paths of the targets in a block of timm's vision transformer."""


class Tokens(nn.Module):
    """Makes a sequence of the pixels of maps: (n, channels, height, width) to (n, pixels, channels)."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.flatten(2).transpose(1, 2)


class Mean(nn.Module):
    """The mean over a sequence: (n, length, channels) to (n, channels)."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.mean(dim=1)


class Attention(nn.Module):
    """A layer of attention in miniature, with an MLP inside."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(4, 12), nn.Linear(4, 4)
        self.mlp = nn.Sequential(nn.Linear(4, 4))

    def forward(self, tokens: Tensor) -> Tensor:
        return self.mlp(self.proj(self.qkv(tokens)[..., :4]))  # type: ignore[no-any-return]


class AttentionOfItsWeights(Attention):
    """Computes with the weights of `qkv` itself."""

    def forward(self, tokens: Tensor) -> Tensor:
        return functional.linear(tokens, self.qkv.weight)[..., :4]


def vision_transformer(**options: Any) -> nn.Module:
    """A small vision transformer of timm for the toy's images, without a last layer. Its weights are random."""
    vision.torchvision()
    from timm.models.vision_transformer import VisionTransformer

    sizes = {"img_size": 8, "patch_size": 4, "in_chans": 1, "embed_dim": 16, "depth": 2, "num_heads": 2}
    network: nn.Module = VisionTransformer(**sizes, num_classes=0, **options)
    return network


def small(attention: nn.Module) -> TransferModel:
    """A model of one attention."""
    stages = {"tokens": nn.Sequential(nn.Conv2d(1, 4, 2, 2), Tokens()), "block": nn.Sequential(attention, Mean())}
    return TransferModel(stages, nn.Linear(4, 3))


@needs_peft
@pytest.mark.slow  # the import of peft takes seconds
class TestLora(RegimeContract):
    regime = lora
    trains: ClassVar = (("second", "head"),)
    config: ClassVar[Config] = {
        "optimizer": "adam",
        "lr": 0.01,
        "batch_size": 16,
        "lora_rank": 4,
        "lora_dropout": 0.1,
        "lora_targets": "all",
    }
    configs: ClassVar = (*EVERY, {"optimizer": "nag", "momentum": 0.9})
    n_last: ClassVar = 8

    def model(self) -> TransferModel:
        vision.torchvision()
        from timm.models.vision_transformer import Block

        with torch.random.fork_rng():
            torch.manual_seed(8)
            first = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2))
            stages = {
                "first": nn.Sequential(*first, Tokens()),
                "second": nn.Sequential(Block(16, num_heads=2, proj_drop=0.1), Mean()),
            }
            return TransferModel(stages, nn.Linear(16, len(toys.CLASSES)))

    def is_trained(self, key: str, value: Tensor, trains: tuple[str, ...]) -> bool:
        return part_of(key) == HEAD or "lora_" in key

    def test_the_state_holds_only_the_adapters_and_the_head(self) -> None:
        weights = loaded(saved(self.build()))["weights"]
        assert all(key.startswith("head.") or "lora_" in key for key in weights)
        assert len(weights) == 2 + 2 * 4  # A and B of qkv, proj, fc1 and fc2

    def test_an_average_holds_only_the_adapters_and_the_head(self) -> None:
        trainable = self.build(config={**self.config, "ema": 0.8})
        trainable.step()
        state = loaded(saved(trainable))
        assert state["average"].keys() == state["weights"].keys()

    def test_a_frozen_stage_from_a_file_stays_pretrained_so_that_its_features_are_kept_on_disk(self) -> None:
        model = self.model()
        model.mark_pretrained()
        self.build(model=model).step()
        assert model.pretrained == {"first"}

    def test_what_a_model_computes_is_the_same_at_first(self) -> None:
        model, images = self.model().eval(), toys.part(9, seed=4).images
        before = model(images)
        self.build(model=model)
        torch.testing.assert_close(model.eval()(images), before)


@needs_peft
@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"lora_dropout": 0.2, "lora_targets": "qkv+proj", "optimizer": "sgd", "lr": 0.1},
        {"lora_rank": 2, "lora_alpha": 3.0, "lora_targets": "all", "batch_size": 10},
    ],
    ids=str,
)
def test_losses_are_those_of_peft_alone(config: Config) -> None:
    """The same network with dropout, the same first weights, the same batches."""
    ours, other = (build_on_transformer(config) for _ in range(2))
    orders = [other.draw_order() for _ in range(3)]
    losses = [ours.step()["train_loss"] for _ in range(3)]
    assert losses == pytest.approx(list(losses_of_peft(config, orders)), rel=1e-5)
    assert len(set(losses)) == 3


def build_on_transformer(config: Config) -> Training:
    """A training of the regime on a transformer that is always the same."""
    network, head = transformer_and_head()
    trainable = lora.build(config, TransferModel({"all": network}, head), toys.data(), "cpu")
    assert isinstance(trainable, Training)
    return trainable


def transformer_and_head() -> tuple[nn.Module, nn.Module]:
    """A transformer with dropout, and a head. Torch is seeded before."""
    seed_everything(4)
    return vision_transformer(proj_drop_rate=0.1), nn.Linear(16, 3)


def losses_of_peft(config: Mapping[str, Any], orders: Sequence[Tensor]) -> Iterator[float]:
    """The training losses of epochs by peft and torch, with the samples in these orders."""
    import peft

    chosen = str(config.get("lora_targets", "qkv"))
    settings = peft.LoraConfig(
        r=config.get("lora_rank", 8),
        lora_alpha=config.get("lora_alpha", 16.0),
        lora_dropout=config.get("lora_dropout", 0.0),
        target_modules=[f"network.blocks.{i}.{name}" for i in range(2) for name in PATHS[chosen]],
        modules_to_save=["classifier"],
    )
    network, head = transformer_and_head()
    model = peft.get_peft_model(nn.Sequential(OrderedDict(network=network, classifier=head)), settings).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizers = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}
    optimizer: Any = optimizers[str(config.get("optimizer", "adamw"))](weights, lr=config.get("lr", 1e-3))
    int(torch.randint(2**62, ()))  # the seed of the order, which a training draws from the same generator
    train, batch_size = toys.data().train, int(config.get("batch_size", 64))
    for order in orders:
        total = 0.0
        for rows in torch.split(order, batch_size):
            loss = functional.cross_entropy(model(train.images[rows]), train.labels[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item() * len(rows)
        yield total / len(train)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [("qkv", ["qkv"]), ("qkv+proj", ["qkv", "proj"]), ("all", ["qkv", "proj", "mlp.0"])],
)
def test_targets_are_the_layers_of_the_attention_or_all(targets: str, expected: list[str]) -> None:
    assert lora.target_layers(small(Attention()), targets) == [f"block.0.{name}" for name in expected]


@pytest.mark.parametrize(
    ("model", "config", "message"),
    [
        (small(Attention()), {"lora_rank": 0}, "`lora_rank` must be a whole number of at least 1, but is 0"),
        (
            small(Attention()),
            {"lora_rank": 5},
            "`lora_rank` must be at most 4, the smaller side of the weight of block.0.qkv, but is 5",
        ),
        (small(Attention()), {"lora_alpha": 0}, "`lora_alpha` must be"),
        (small(Attention()), {"lora_dropout": 1.0}, "`lora_dropout` must be"),
        (small(Attention()), {"lora_targets": "qk"}, "`lora_targets` must be one of qkv, qkv\\+proj, all"),
        (toys.model(), {}, "the linear layers of an attention, and this model has none: name a vision transformer"),
        (small(nn.Sequential(nn.Linear(4, 4))), {"lora_targets": "all"}, "and this model has none"),
        (
            small(AttentionOfItsWeights()),
            {},
            "the layer block.0.qkv cannot be adapted, because the model uses its weights",
        ),
    ],
    ids=["rank", "large rank", "alpha", "dropout", "targets", "convolutions", "no attention", "not called"],
)
def test_what_does_not_fit_is_an_error_before_peft_is_imported(
    model: TransferModel, config: Config, message: str
) -> None:
    with pytest.raises((SetupError, ValueError), match=message):
        lora.build(config, model, toys.data(), "cpu")


def test_an_attention_without_named_queries_is_an_error_that_names_its_layers() -> None:
    attention = Attention()
    del attention.qkv
    with pytest.raises(SetupError, match="no layer that is named as one of queries, keys or values, but proj: use qkv"):
        lora.target_layers(small(attention), "qkv")


def test_without_peft_an_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)  # what Python calls a module that is not there
    with pytest.raises(SetupError, match="lora needs the package peft: pip install 'hpo\\[lora\\]'"):
        lora.build({}, small(Attention()), toys.data(), "cpu")
