from typing import ClassVar

from tests.trainables.regimes.contract import RegimeContract
from trainables.regimes import fine_tune


class TestFineTune(RegimeContract):
    regime = fine_tune
    trains: ClassVar = (("first", "second", "fc", "head"),)
