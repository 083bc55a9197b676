from typing import ClassVar

from tests.trainables.models.pretrained import TorchvisionContract
from trainables.models import resnet18


class TestResnet18(TorchvisionContract):
    model = resnet18
    original = "resnet18"
    last = "fc."
    shape = (3, 32, 40)
    stages: ClassVar = ("stem", "layer1", "layer2", "layer3", "layer4", "pool")
