"""The conformance kit: checks that a plugin's components keep the contracts that recipes rely on.

A plugin's tests list cases. Each property of each case becomes one test:

    from mmzoo.testing import EncoderCase, conformance, features

    test_conformance = conformance(
        EncoderCase("resnet", features(16, 16, 3, dtype="uint8"), options={"blocks": [1, 1]}),
    )

A component is looked up in the catalog of the installed plugins, and its options are bound as in a recipe. The kit needs
pytest and Keras' TensorFlow backend.
"""

from mmzoo.testing.cases import (
    Case,
    DatasetCase,
    EncoderCase,
    FusionCase,
    HeadCase,
    LossCase,
    MetricCase,
    ProcessorCase,
    features,
)
from mmzoo.testing.checks import check, conformance, properties
from mmzoo.testing.datasets import read_split
from mmzoo.testing.subject import ConformanceError
from mmzoo.testing.texts import HARD_TEXTS

__all__ = [
    "HARD_TEXTS",
    "Case",
    "ConformanceError",
    "DatasetCase",
    "EncoderCase",
    "FusionCase",
    "HeadCase",
    "LossCase",
    "MetricCase",
    "ProcessorCase",
    "check",
    "conformance",
    "features",
    "properties",
    "read_split",
]
