"""The parts of the ladder: graph, ranges, units, reconstruction, judging, input and output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.manifest import PreprocessSpec
from edge_runtime.preprocess import preprocess
from edge_runtime.rundir import SplitRow, read_split
from exporter.calibration import JUDGES, choose_judges
from exporter.photos import batches
from exporter.quantize import ranges as ranging
from exporter.quantize.graph import Graph, activations, without_softmax
from exporter.quantize.integers import full_integer, set_io, weights_only
from exporter.quantize.judge import CONFIDENCE, expected_loss, judge, margins, turning_share
from exporter.quantize.measure import BINS, Interpreter, answers
from exporter.quantize.reconstruct import linear_layers, reconstruct
from exporter.quantize.units import cut, noise, rank, results_of

SIZE = 32


@pytest.fixture(scope="module")
def pixels(run: Path) -> dict[str, np.ndarray]:
    """Photos of each part, uint8 (n, 32, 32, 3)."""
    rows = read_split(run / "split.csv")
    return {
        part: np.stack(
            [preprocess(row.path, PreprocessSpec(SIZE, SIZE)) for row in rows if row.part == part]
        )
        for part in ("train", "val")
    }


@pytest.fixture(scope="module")
def seen(float32: bytes, pixels: dict[str, np.ndarray]) -> dict[str, ranging.Histogram]:
    """Histograms of the activations on the training photos."""
    return ranging.histograms(float32, pixels["train"])


def test_units_hold_every_operator_once(float32: bytes) -> None:
    """The squeeze-and-excitation branch of a block is one unit, its pooling and sigmoid included."""
    results = [result for unit in cut(float32) for result in unit.results]
    assert results == [Graph(float32).result(o) for o in Graph(float32).operators]
    graph = Graph(float32)
    kinds = {graph.result(o): graph.kind(o) for o in graph.operators}
    squeezes = [u for u in cut(float32) if kinds[u.results[0]] == "MEAN"]
    assert len(squeezes) == 3  # two blocks, and the pooling in front of the head
    assert all("LOGISTIC" in [kinds[r] for r in unit.results] for unit in squeezes[:2])


def test_swishes_are_found(float32: bytes) -> None:
    """Stem, two depthwise layers and the top have one; the sigmoids of the branches are none."""
    assert [kind for _, kind in activations(Graph(float32))] == ["swish"] * 4


def test_a_network_without_its_softmax_gives_the_logits(
    float32: bytes, pixels: dict[str, np.ndarray]
) -> None:
    logits = answers(without_softmax(float32), pixels["val"])
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = answers(float32, pixels["val"])
    # One float32 softmax against another: some units in the last place of numbers up to 1.
    assert np.abs(powers / powers.sum(axis=1, keepdims=True) - scores).max() < 1e-6
    assert without_softmax(without_softmax(float32)) == without_softmax(float32)


def test_a_changed_constant_changes_no_other(float32: bytes) -> None:
    graph = Graph(float32)
    kernel = int(linear_layers(graph)[-1].inputs[1])
    other = graph.add_tensor_like("other", kernel, graph.schema.TensorType.FLOAT32)
    graph.tensors[other].buffer = graph.tensors[kernel].buffer  # two that share their values
    before = graph.constant(kernel).copy()
    graph.set_constant(kernel, before + 1)
    assert np.array_equal(graph.constant(kernel), before + 1)
    assert np.array_equal(graph.constant(other), before)


def test_an_outlier_does_not_take_the_steps() -> None:
    """Of 2,000,000 values around 0 and one at 100, the one is clipped: 100 would cost all others."""
    values = np.append(np.random.default_rng(0).normal(size=2_000_000), 100.0)
    counts, edges = np.histogram(values, BINS)
    one = ranging.Histogram(edges[0], edges[-1], counts, np.array([[edges[0], edges[-1]]]))
    low, high = ranging._range(one, ranging.RULES[2], None)
    assert low <= 0 < high < 60
    assert ranging._range(one, ranging.RULES[0], None) == (edges[0], 100.0)


def test_in_front_of_a_swish_the_negative_side_is_short() -> None:
    """Values down to -40 all become nearly 0; without the swish they keep half of the steps."""
    values = np.random.default_rng(0).uniform(-40, 40, 20_000)
    counts, edges = np.histogram(values, BINS)
    one = ranging.Histogram(edges[0], edges[-1], counts, np.array([[-40.0, 40.0]]))
    plain, _ = ranging._range(one, ranging.RULES[2], None)
    behind, _ = ranging._range(one, ranging.RULES[2], ranging._swish)
    assert plain < -35  # of an even distribution nothing is worth clipping
    assert behind > -15


def test_ranges_are_of_every_activation(float32: bytes, seen: dict[str, ranging.Histogram]) -> None:
    graph = Graph(float32)
    for rule in ranging.RULES:
        chosen = ranging.choose(float32, seen, rule)
        assert set(chosen) == {graph.name(graph.input), *map(graph.result, graph.operators)}
        assert chosen[graph.name(graph.input)] == (0.0, 255.0)


def test_reconstruction_takes_away_noise(
    float32: bytes, pixels: dict[str, np.ndarray], seen: dict[str, ranging.Histogram]
) -> None:
    """On photos that it was not fitted on; the graph stays the same but for kernels and biases."""
    bare = without_softmax(float32)
    ranges = ranging.choose(float32, seen, ranging.RULES[0])
    exact = answers(bare, pixels["val"])

    def quantize(model: bytes) -> bytes:
        return full_integer(model, ranges)

    fitted = reconstruct(bare, quantize, pixels["train"])
    before = noise(answers(quantize(bare), pixels["val"]), exact)
    after = noise(answers(quantize(fitted), pixels["val"]), exact)
    assert after < 0.9 * before
    assert [u.results for u in cut(fitted)] == [u.results for u in cut(bare)]


def test_units_are_ranked_by_what_they_do_to_the_logits(
    float32: bytes, pixels: dict[str, np.ndarray], seen: dict[str, ranging.Histogram]
) -> None:
    """A unit whose range is far too narrow comes first, and its range is changed for a better one."""
    bare = without_softmax(float32)
    exact = answers(bare, pixels["val"])
    good = ranging.choose(bare, seen, ranging.RULES[0])
    worst = cut(bare)[4]
    bad = {**good, **dict.fromkeys(worst.results, (-0.001, 0.001))}
    costs, ranges = rank(bare, {"bad": bad}, "bad", pixels["val"], exact)
    assert max(costs, key=lambda cost: cost[1])[0] == worst
    costs, ranges = rank(bare, {"bad": bad, "good": good}, "bad", pixels["val"], exact)
    assert all(ranges[result] == good[result] for result in worst.results)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32"])
@pytest.mark.parametrize("kind", ["integer", "mixed", "float"])
def test_any_input_and_output(
    float32: bytes,
    pixels: dict[str, np.ndarray],
    seen: dict[str, ranging.Histogram],
    dtype: str,
    kind: str,
) -> None:
    """The same answers within the step of the output, whatever goes in and out."""
    ranges = ranging.choose(float32, seen, ranging.RULES[0])
    ends = [cut(float32)[0], cut(float32)[-1]]
    plain = {
        "integer": lambda: full_integer(float32, ranges),
        "mixed": lambda: full_integer(float32, ranges, results_of(ends)),
        "float": lambda: weights_only(float32, "tflite-int8"),
    }[kind]()
    model = set_io(plain, dtype, None)
    network = Interpreter(model)
    assert network._input["dtype"] == network._output["dtype"] == np.dtype(dtype)
    # Half a step of 1/256 for the output, and a grey level for an input that had another scale.
    assert np.abs(answers(model, pixels["val"]) - answers(plain, pixels["val"])).max() <= 2.5 / 256


def test_the_last_batch_is_filled_up() -> None:
    parts = list(batches(np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1), 2))
    assert [count for _, count in parts] == [2, 2, 1]
    assert parts[-1][0].ravel().tolist() == [4, 4]


def test_the_same_logits_hold_every_rule() -> None:
    exact = np.random.default_rng(0).normal(size=(50, 4)) * 3
    verdict = judge(exact, exact, exact.argmax(axis=1), 25)
    assert (verdict.drop, verdict.drop_upper, verdict.noise) == (0, 0, 0)
    assert verdict.agreement == verdict.expected_agreement == verdict.agreement_lower == 1
    assert verdict.failures(0, 1) == []


def test_a_lost_answer_is_counted() -> None:
    """One of four photos turns from right to wrong, one from wrong to right, one changes its logits."""
    exact = np.array([[2.0, 0], [0, 2], [2, 0], [2, 0]])
    found = np.array([[0.0, 2], [2, 0], [1, 0], [2, 0]])
    verdict = judge(exact, found, np.array([0, 0, 0, 0]), 1)
    assert (verdict.accuracy, verdict.drop, verdict.agreement) == (0.75, 0.0, 0.5)
    # The only validation photo is the one that is lost.
    assert (verdict.validation.n, verdict.validation.drop, verdict.validation.agreement) == (
        1,
        1,
        0,
    )
    assert "loses 100.00 points on the validation photos" in verdict.failures(0.01, 0.0)
    assert "agrees on 50.0%" in verdict.failures(0.01, 0.99)
    worse = judge(exact, found, np.array([0, 1, 0, 0]), 4)
    assert worse.drop == 0.5
    assert "loses 50.00 points" in worse.failures(0.01, 0.0)


def test_a_near_tie_is_expected_to_lose_its_chance() -> None:
    """Half of the changes would turn a margin of 0.1; where the runner-up is right they gain."""
    exact = np.array([[0.1, 0.0], [5.0, 0.0], [5.0, 0.0], [0.1, 0.0]])
    margin, _ = margins(exact, exact)
    change = np.array([-1.0, -1.0, 1.0, 1.0])
    labels = np.array([0, 0, 0, 1])
    assert expected_loss(exact, margin, change, labels).tolist() == [0.5, 0, 0, -0.5]


def test_noise_and_near_ties_both_turn_answers() -> None:
    few, many = np.array([0.5] + [5.0] * 99), np.array([0.5] * 30 + [5.0] * 70)
    quiet, loud = np.array([-0.1, 0.1]), np.array([-0.4, 0.4])
    assert turning_share(few, quiet)[0] < turning_share(few, loud)[0]
    assert turning_share(few, quiet)[0] < turning_share(many, quiet)[0]
    # (1 + 1) near ties of (100 + 1), and changes towards zero of 0.05 on average.
    assert turning_share(few, quiet)[0] == pytest.approx(2 / 101 * 0.05)
    # Up to 4.74 near ties are compatible with one that was seen (Poisson, 95 %).
    assert CONFIDENCE == 0.95
    assert turning_share(few, quiet)[1] == pytest.approx(4.744 / 100 * 0.05, rel=1e-3)


def rows(part: str, **counts: int) -> list[SplitRow]:
    return [
        SplitRow(f"/{part}/{name}/{n}.jpg", f"{part}-{name}-{n}", name, part)
        for name, count in counts.items()
        for n in range(count)
    ]


def test_judges_are_photos_that_calibration_does_not_see() -> None:
    training = rows("train", a=300, b=20)
    calibration = training[:100]
    chosen, count = choose_judges(rows("val", a=5, b=5), training, calibration, seed=0)
    assert count == 10
    assert {row.part for row in chosen[:10]} == {"val"}
    assert {row.part for row in chosen[10:]} == {"train"}
    assert not {row.sha256 for row in calibration} & {row.sha256 for row in chosen}
    assert len(chosen) == 10 + 220


def test_many_validation_photos_need_no_training_photos() -> None:
    chosen, count = choose_judges(rows("val", a=900, b=900), rows("train", a=50), [], seed=0)
    assert len(chosen) == count == JUDGES
    assert {row.part for row in chosen} == {"val"}
