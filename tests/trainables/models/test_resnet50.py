from typing import ClassVar

from tests.trainables.models.pretrained import TorchvisionContract
from trainables.models import resnet50


class TestResnet50(TorchvisionContract):
    model = resnet50
    original = "resnet50"
    last = "fc."
    shape = (3, 32, 40)
    stages: ClassVar = ("stem", "layer1", "layer2", "layer3", "layer4", "pool")
