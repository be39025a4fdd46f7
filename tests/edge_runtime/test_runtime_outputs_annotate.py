"""An answer on its frame can be read, whatever the frame shows and however large it is."""

from __future__ import annotations

import numpy as np
import pytest
from stream_results import make_frame, make_result

from edge_runtime.stream.outputs.annotate import annotated, headline, second_line
from edge_runtime.stream.results import FrameResult, Steady

SIZES = [(1, 1), (16, 9), (64, 48), (320, 240), (240, 320), (3840, 2160)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("color", [(255, 255, 255), (0, 0, 0)])
def test_text_stands_out_at_every_size(size: tuple[int, int], color: tuple[int, int, int]) -> None:
    frame = make_frame(size=size, color=color)
    picture = annotated(make_result(frame=frame))
    assert picture.size == size and picture.mode == "RGB"
    assert (frame.pixels == color).all(), "the shared frame was written to"
    if size[0] < 64:
        return
    band = np.asarray(picture.convert("L"), np.int16)[-size[1] // 10 :]
    # WCAG asks for a contrast of 4.5; white dimmed to 0.3 and the label's green differ by 120 grey
    # levels, on black by 200.
    assert band.max() - np.median(band) > 100
    upper = np.asarray(picture)[: size[1] // 2]
    assert (upper == color).all(), "the picture itself stays visible"


def test_unicode_control_characters_and_long_labels() -> None:
    for label in ("Crème fraîche", "牛乳", "a\nb\x1b[2J", "", "x" * 4000, "\U0010ffff"):
        assert annotated(make_result(label)).size == (64, 48)


def test_what_is_said() -> None:
    assert headline(make_result("red", 0.9))[:2] == ("red", 0.9)
    assert headline(make_result("red", 0.3, unknown=True))[:2] == ("unknown", 0.3)
    assert headline(make_result("red", 0.9, steady=False))[:2] == ("red", 0.9)
    plain = make_result("red", 0.9)
    undecided = FrameResult(plain.prediction, plain.frame, 7, Steady(None, None, False, 0, 0, 0))
    assert headline(undecided)[:2] == ("undecided", None)
    assert second_line(undecided) == "now red 0.90, age 7 ms"
    assert second_line(make_result(steady=False)) == "age 12 ms"
    assert len({headline(r)[2] for r in (plain, undecided, make_result(unknown=True))}) == 3


def test_heat_map_lies_where_the_network_looked() -> None:
    """The map is hot in one corner of four by four."""
    frame = make_frame(size=(320, 240), color=(40, 40, 40))
    result = make_result(frame=frame, heat=True)
    plain, hot = (np.asarray(annotated(result, heat), np.int16) for heat in (False, True))
    difference = np.abs(hot - plain).sum(axis=2)[:120]
    assert difference[:60, :80].mean() > 2 * difference[:60, 160:].mean()
    without = make_result(frame=frame)
    assert np.array_equal(np.asarray(annotated(without, True)), np.asarray(annotated(without)))
