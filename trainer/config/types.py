"""What the sections of the configuration are made of: checked numbers, and their base class."""

from __future__ import annotations

import contextlib
from typing import Annotated, Any

from edge_runtime.errors import UsageError, missing_package

try:
    from pydantic import AfterValidator, BaseModel, ConfigDict
    from pydantic import BeforeValidator as BeforeValidator
    from pydantic import Field as Field
    from pydantic import ValidationError as ValidationError
    from pydantic import model_validator as model_validator
except ImportError as error:
    raise missing_package("pydantic", "train", "check the configuration") from error


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number was expected")  # noqa: TRY004 - pydantic wants ValueError
    return value


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("the first number is above the second")
    return value


def _shares(value: tuple[float, ...]) -> tuple[float, ...]:
    from ..data.stratify import check_ratios

    with contextlib.suppress(UsageError):
        if check_ratios(value)[1] > 0:
            return value
    raise ValueError("expected three shares that add up to 1, those of train and val above 0")


def _pattern(value: str) -> str:
    from ..data.grouping import compile_pattern

    try:
        return compile_pattern(value).pattern
    except UsageError as error:
        raise ValueError(f"no regular expression: {error.__cause__}") from error


def on_off(value: Any) -> Any:
    """YAML 1.1 reads on and off as true and false; make them words again."""
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


def _layer(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or value == "":
        raise ValueError("expected an index, a share or a layer's name")
    if isinstance(value, int) and value < 0:
        raise ValueError("expected an index from 0 on")
    if isinstance(value, float) and not 0 <= value < 1:
        raise ValueError(
            "expected a share of the layers from 0.0 to below 1.0 (an index has no point; for the "
            "head alone set finetune.epochs to 0)"
        )
    return value


Count = Annotated[int, Field(strict=True, ge=0)]
# YAML 1.1 reads 1e-3 (without a point) as text; pydantic turns the text into a number.
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Rate = Annotated[Number, Field(gt=0, le=10)]
Positive = Annotated[Number, Field(gt=0)]
Share = Annotated[Number, Field(gt=0, le=1)]
PartShares = Annotated[tuple[Fraction, ...], AfterValidator(_shares)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_ascending)]
ShareRange = Annotated[tuple[Share, Share], AfterValidator(_ascending)]
Pattern = Annotated[str, AfterValidator(_pattern)]
LayerPlace = Annotated[int | float | str, BeforeValidator(_layer)]


class Section(BaseModel):
    """Base of every section: an unknown key is an error, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
