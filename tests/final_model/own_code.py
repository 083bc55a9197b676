"""Training code of a user's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from trainables.regimes import from_scratch


class Own:
    """Own training code with a module of its own, which takes images of 0..1."""

    def __init__(self, config: Any, model: Any, data: Any, device: str) -> None:
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
        self.data = data
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=config["lr"])

    def step(self) -> dict[str, float]:
        loss = nn.functional.cross_entropy(self.logits(self.data.train), self.data.train.labels)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        found = self.evaluate(self.data.validation)
        return {"val_loss": found["loss"], "val_accuracy": found["accuracy"]}

    def logits(self, part: Any) -> torch.Tensor:
        logits: torch.Tensor = self.model(part.images.float() / 255)
        return logits

    def evaluate(self, part: Any) -> dict[str, float]:
        with torch.no_grad():
            logits = self.logits(part)
        loss = nn.functional.cross_entropy(logits, part.labels)
        return {"loss": float(loss), "accuracy": float((logits.argmax(dim=1) == part.labels).double().mean())}

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


class WithOtherImages(Own):
    """Its module alone has another accuracy than the one that it reports."""

    def evaluate(self, part: Any) -> dict[str, float]:
        found = super().evaluate(part)
        return {**found, "accuracy": 1.0 if found["accuracy"] < 0.5 else 0.0}


class WithoutModule(Own):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.network = self.__dict__.pop("model")

    def logits(self, part: Any) -> torch.Tensor:
        logits: torch.Tensor = self.network(part.images.float())
        return logits

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.network.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["model"])


def with_given_model(config: Any, model: Any, data: Any, device: str) -> Any:
    """Own training code that trains the model of the task."""
    return from_scratch.build({**config, "optimizer": "sgd"}, model, data, device)
