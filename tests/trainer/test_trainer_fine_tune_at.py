"""``fine_tune_at`` and the input size: from what is typed to what the run keeps."""

from __future__ import annotations

from typing import Any

import pytest

from edge_runtime.errors import UsageError
from trainer.commands.fit import fit
from trainer.commands.options import parse_layer
from trainer.config.io import load_config
from trainer.network.backbones import BACKBONES, build_base
from trainer.training.resolve import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [("100", 100), ("0", 0), ("0.7", 0.7), ("1.0", 1.0), ("block5", "block5"), (None, None)],
)
def test_what_the_option_reads(text: str | None, value: Any) -> None:
    found = parse_layer(text)
    assert (found, type(found)) == (value, type(value))
    option = next(option for option in fit.params if option.name == "fine_tune_at")
    given = option.process_value(fit.make_context("fit", ["d", "--out", "r"]), text)
    assert (given, type(given)) == (value, type(value))


@pytest.mark.parametrize(
    ("yaml", "value"),
    [("1", 1), ("0.7", 0.7), ("0.0", 0.0), ("block5", "block5"), ("null", None)],
)
def test_what_the_configuration_reads(yaml: str, value: Any) -> None:
    found = load_config(None, None, [f"model.fine_tune_at={yaml}"]).model.fine_tune_at
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("yaml", "part"),
    [
        ("-1", "expected an index from 0 on, found -1"),
        ("1.0", "expected a share of the layers from 0.0 to below 1.0 (an index has no point"),
        ("-0.5", "expected a share of the layers"),
        (".nan", "expected a share of the layers"),
        ("true", "expected an index, a share or a layer's name, found True"),
        ("[1]", "expected an index, a share or a layer's name"),
        ("''", "expected an index, a share or a layer's name"),
    ],
)
def test_what_the_configuration_refuses(yaml: str, part: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_config(None, None, [f"model.fine_tune_at={yaml}"])
    assert str(caught.value).startswith(f"model.fine_tune_at: {part}")


@pytest.mark.parametrize("given", ["null", "60", "0.5", "expanded_conv_10"])
def test_the_run_keeps_an_index_and_a_size(given: str, tmp_path) -> None:
    weights = tmp_path / "small.weights.h5"
    weights.touch()  # it is only looked for
    options = {"model.backbone": "mobilenetv3small", "model.weights": str(weights)}
    config = resolve(load_config(None, options, [f"model.fine_tune_at={given}"]))
    names = [layer.name for layer in build_base(BACKBONES["mobilenetv3small"], 32).layers]
    expected = {
        "null": BACKBONES["mobilenetv3small"].fine_tune_at,
        "60": 60,
        "0.5": round(0.5 * len(names)),
        "expanded_conv_10": names.index("expanded_conv_10_expand"),
    }
    assert config.model.fine_tune_at == expected[given]
    assert type(config.model.fine_tune_at) is int
    assert resolve(config) == config


def test_the_size_is_the_backbones_own_unless_it_is_given() -> None:
    def size(*assignments: str) -> int | None:
        options = {"model.backbone": "efficientnetb3", "model.weights": "none"}
        return resolve(load_config(None, options, assignments)).image.size

    assert size() == 300
    assert size("image.size=96") == 96
    with pytest.raises(ValueError, match="resolve"):
        load_config().image.spec()


def test_an_unknown_block_is_told_before_any_work() -> None:
    options = {"model.weights": "none", "model.fine_tune_at": "blokc5"}
    with pytest.raises(UsageError, match=r"'blokc5'\. Did you mean block5"):
        resolve(load_config(None, options))
