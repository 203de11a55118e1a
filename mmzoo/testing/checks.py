"""Cases -> tests: the properties of each kind of component, and how one is checked."""

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from mmzoo.registry.catalog import Catalog
from mmzoo.registry.discovery import discover
from mmzoo.testing import datasets, heads, layers, processors, scoring
from mmzoo.testing.cases import Case, EncoderCase, LossCase, ProcessorCase
from mmzoo.testing.subject import ConformanceError, Subject, check_options, subject_of
from mmzoo.training.process import unchanged

Check = Callable[[Subject], None]

_LAYER: dict[str, Check] = {
    "options": check_options,
    "config": layers.check_config,
    "shapes": layers.check_shapes,
    "mask": layers.check_mask,
    "batch": layers.check_batch,
    "deterministic": layers.check_deterministic,
    "gradients": layers.check_gradients,
    "keras_file": layers.check_keras_file,
    "saved_model": layers.check_saved_model,
    "mixed_precision": layers.check_mixed_precision,
}

CHECKS: Mapping[str, Mapping[str, Check]] = {
    "dataset": {
        "options": check_options,
        "card": datasets.check_card,
        "fields": datasets.check_fields,
        "rows": datasets.check_rows,
        "deterministic": datasets.check_deterministic,
    },
    "processor": {
        "options": check_options,
        "features": processors.check_features,
        "paths": processors.check_paths,
        "saved": processors.check_saved,
        "faults": processors.check_faults,
        "decoded": processors.check_decoded,
    },
    "encoder": _LAYER,
    "fusion": _LAYER | {"absent": layers.check_absent},
    "head": _LAYER
    | {
        "absent": layers.check_absent,
        "targets": heads.check_targets,
        "signatures": heads.check_signatures,
        "losses": heads.check_losses,
    },
    "loss": {
        "options": check_options,
        "shape": scoring.check_shape,
        "least": scoring.check_least,
        "finite": scoring.check_finite,
        "padding": scoring.check_padding,
    },
    "metric": {
        "options": check_options,
        "order": scoring.check_order,
        "empty": scoring.check_empty,
        "result": scoring.check_result,
    },
}
"""Kind -> property -> check."""


def properties(case: Case) -> list[str]:
    """Lists the properties that are checked for a case."""
    idle = {
        # No values of a picture without a mask are padding.
        "mask": isinstance(case, EncoderCase) and case.reads["vocabulary"] is None and "mask" not in case.reads,
        "faults": isinstance(case, ProcessorCase) and not case.bad,
        "padding": isinstance(case, LossCase) and not case.same,
    }
    return [name for name in CHECKS[case.kind] if not idle.get(name, False)]


def check(case: Case, name: str, catalog: Catalog | None = None) -> None:
    """Checks one property of a component.

    Args:
        case: The component and what it is tried on.
        name: One of `properties(case)`.
        catalog: Where the component is looked up; the installed plugins by default.

    Raises:
        ConformanceError: It does not hold, or the component raises.
        MmzooError: The case names no component, or options that it does not take.
    """
    with tempfile.TemporaryDirectory() as folder:
        subject = subject_of(case, catalog or _installed(), Path(folder))
        who = f"{case.kind} '{case.name}' of {subject.bound.component.plugin}, {name}"
        try:
            with _quiet(), unchanged():
                CHECKS[case.kind][name](subject)
        except ConformanceError as error:
            raise ConformanceError(f"{who}: {error}") from error.__cause__
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise ConformanceError(f"{who}: it raises {type(error).__name__}: {reason}") from error


def conformance(*cases: Case, catalog: Catalog | None = None) -> Callable[..., None]:
    """Makes the test of some cases: one test for each property of each.

    Assign it to a name that pytest collects: `test_conformance = conformance(...)`.

    Args:
        cases: The components and their test data.
        catalog: Where components are looked up; the installed plugins by default.
    """

    @pytest.mark.parametrize(("case", "name"), list(_parameters(cases)))
    def test(case: Case, name: str) -> None:
        __tracebackhide__ = True
        try:
            check(case, name, catalog)
            fault = ""
        except ConformanceError as error:
            if error.__cause__ is not None:
                raise  # an error of the component itself needs its traceback
            fault = str(error)
        if fault:
            pytest.fail(fault, pytrace=False)

    return test


def _parameters(cases: tuple[Case, ...]) -> Iterator[Any]:
    for case in cases:
        unknown = set(case.skip) - set(CHECKS[case.kind])
        if unknown:
            raise ValueError(f"{case}: skip names no property: {sorted(unknown)}; expected {', '.join(CHECKS[case.kind])}.")
        for name in properties(case):
            marks = [pytest.mark.skip(reason=case.skip[name])] if name in case.skip else []
            yield pytest.param(case, name, id=f"{case}-{name}", marks=marks)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hides Keras' warnings about layers that make their weights in the first call, which is allowed."""
    with warnings.catch_warnings():
        for said in (r"`build\(\)` was called on layer", "Layer .* looks like it has unbuilt state"):
            warnings.filterwarnings("ignore", message=said, category=UserWarning)
        yield


@lru_cache
def _installed() -> Catalog:
    return discover()
