"""Whole pictures, and nothing else, out of whatever bytes a camera sends."""

from __future__ import annotations

import io
import random

import pytest
from bad_camera import jpeg, part
from PIL import Image

from edge_runtime.sources.base import BadFrame, SourceLost
from edge_runtime.sources.mjpeg import auth
from edge_runtime.sources.mjpeg.auth import Credentials, best_challenge
from edge_runtime.sources.mjpeg.body import Chunked, Sized
from edge_runtime.sources.mjpeg.parts import NoPictures, Parts, Pictures

RED, GREEN, BLUE = jpeg("red"), jpeg("green", (40, 30)), jpeg("blue", (16, 16))

#: Whole at once, byte by byte, and in between.
SIZES = (1 << 20, 1, 7, 100)


def cut(splitter: Pictures, stream: bytes, size: int) -> list[bytes | str]:
    """What comes out of a stream that arrives in chunks; of what was left out, the reason."""
    pieces = []
    for place in range(0, len(stream), size):
        pieces += splitter.feed(stream[place : place + size])
    return [str(piece) if isinstance(piece, BadFrame) else piece for piece in pieces]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("length", [-1, None])
@pytest.mark.parametrize(
    ("announced", "used"),
    [("frame", "frame"), ("--frame", "frame"), ("frame", "--frame"), ("x", "x"), ("--x--", "x")],
)
def test_boundaries_of_every_dialect(
    announced: str, used: str, length: int | None, size: int
) -> None:
    stream = b"".join(part(picture, length, used) for picture in (RED, GREEN, BLUE))
    assert cut(Parts(announced), stream, size) == [RED, GREEN, BLUE]


@pytest.mark.parametrize("size", SIZES)
def test_boundaries_without_dashes_or_line_ends_or_by_another_name(size: int) -> None:
    naked = b"".join(b"frame\r\n\r\n" + picture for picture in (RED, GREEN))
    assert cut(Parts("frame"), naked, size) == [RED, GREEN]
    unix = b"".join(b"\n--frame\nContent-type: image/jpeg\n\n" + p for p in (RED, GREEN))
    assert cut(Parts("frame"), unix, size) == [RED, GREEN]
    other = part(RED, boundary="other") + part(GREEN, boundary="other")
    assert cut(Parts("frame"), other, size) == [RED, GREEN]


@pytest.mark.parametrize("size", SIZES)
def test_pictures_one_behind_the_other(size: int) -> None:
    assert cut(Pictures(), RED + GREEN + b"garbage \xff\xd8 bytes" + BLUE, size) == [
        RED,
        GREEN,
        BLUE,
    ]


def test_a_picture_without_a_length_does_not_wait_for_the_next_part() -> None:
    splitter = Parts("frame")
    stream = part(RED, None)
    end = stream.index(RED) + len(RED)
    assert splitter.feed(stream[: end - 1]) == []
    assert splitter.inside
    assert splitter.feed(stream[end - 1 : end]) == [RED]
    assert not splitter.inside


def test_every_kind_of_jpeg_ends_where_it_ends() -> None:
    """Noise (many stuffed bytes), progressive (several scans), restart markers, a thumbnail."""
    noise = Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(64 * 64 * 3))
    pictures = []
    for options in (
        {"quality": 100},
        {"progressive": True},
        {"restart_marker_blocks": 2},
        {"exif": b"Exif\0\0" + RED},  # what a thumbnail is: a JPEG in a segment
        {"comment": b"\xff\xd9\xff\xd8\xff"},
    ):
        content = io.BytesIO()
        noise.save(content, "JPEG", **options)
        pictures.append(content.getvalue())
    for size in SIZES:
        assert cut(Pictures(), b"".join(pictures), size) == pictures


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (part(RED[:-20], None), "cut off"),
        (part(RED[:-20]), "cut off"),
        (part(RED[:-2]), "cut off"),
        (part(RED[: len(RED) // 2], len(RED)), "shorter than its Content-Length"),
        (part(RED, len(RED) - 30), "cut off"),
        (part(b"no picture at all"), "is no JPEG"),
        (part(RED, 1 << 40), "announced with"),
        (part(RED, 10**30), "announced with"),
        (b"--frame\r\nX: " + b"y" * 20_000 + b"\r\n\r\n", "headers of a part"),
    ],
)
def test_a_damaged_part_is_left_out_and_the_next_one_is_whole(
    bad: bytes, said: str, size: int
) -> None:
    found = cut(Parts("frame"), part(GREEN) + bad + part(BLUE) + part(RED), size)
    assert found[0] == GREEN and found[-2:] == [BLUE, RED]
    assert len(found) == 4 and said in str(found[1])


def test_the_thumbnail_in_a_damaged_picture_is_none_of_the_cameras() -> None:
    content = io.BytesIO()
    Image.new("RGB", (64, 64)).save(content, "JPEG", exif=b"Exif\0\0" + RED)
    damaged = bytearray(content.getvalue())
    assert damaged[2:4] == b"\xff\xe0"  # the first segment, of which the length is made wrong
    damaged[4:6] = b"\0\3"
    found = cut(Parts("frame"), part(GREEN, None) + part(bytes(damaged), None) + part(BLUE), 50)
    assert found == [GREEN, "a JPEG is cut off or damaged.", BLUE]


def test_texts_between_pictures_are_no_damage() -> None:
    text = b"--frame\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok\r\n"
    assert cut(Parts("frame"), part(RED) + text + part(GREEN), 9) == [RED, GREEN]


@pytest.mark.parametrize("splitter", [Pictures, lambda *limits: Parts("frame", *limits)])
def test_bounds(splitter: type[Pictures]) -> None:
    """Neither a picture nor garbage without an end is kept in memory."""
    endless = splitter(10_000, 100_000)
    found = cut(endless, RED[:-2] + bytes(50_000), 1000)
    assert len(found) == 1 and "more than" in str(found[0])
    assert len(endless._buffer) < 12_000
    with pytest.raises(NoPictures, match="no whole picture"):
        cut(endless, bytes(200_000), 1000)


@pytest.mark.parametrize("size", SIZES)
def test_chunks(size: int) -> None:
    stream = b"5;name=value\r\nhello\r\n" + b"A\r\n, chunks!!\r\n" + b"0\r\nTrailer: x\r\n\r\nrest"
    body = Chunked()
    places = range(0, len(stream), size)
    assert b"".join(body.decode(stream[p : p + size]) for p in places) == b"hello, chunks!!"
    assert body.ended


@pytest.mark.parametrize("stream", [b"xyz\r\n", b"-5\r\n", b"1_0\r\n", b"5" * 2000])
def test_damaged_chunks(stream: bytes) -> None:
    with pytest.raises(SourceLost, match="chunked"):
        Chunked().decode(stream)


def test_a_sized_body_ends() -> None:
    body = Sized(5)
    assert body.decode(b"abc") == b"abc" and not body.ended
    assert body.decode(b"defgh") == b"de" and body.ended


def test_digest_by_the_examples_of_rfc_7616(monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 3.9.1: both algorithms offered, SHA-256 chosen; and MD5 where it is alone."""
    offered = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    monkeypatch.setattr(auth, "fresh_nonce", lambda: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")
    mufasa = Credentials("Mufasa", "Circle of Life")
    expected = {
        "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        "MD5": "8ca523f5e9506fed4657c9700eebdbec",
    }
    md5, sha = offered.format("MD5"), offered.format("SHA-256")
    for headers, algorithm in (
        ([md5], "MD5"),
        ([md5, sha], "SHA-256"),
        ([f"{md5}, {sha}"], "SHA-256"),
    ):
        challenge = best_challenge(headers)
        assert challenge is not None
        answer = challenge.answer(mufasa, "GET", "/dir/index.html")
        assert f'response="{expected[algorithm]}"' in answer and f"algorithm={algorithm}" in answer
        assert "nc=00000001" in answer and "Circle" not in answer


def test_challenges() -> None:
    both = best_challenge(['Basic realm="a, Digest b=c", Digest realm="x", nonce="n"'])
    assert both is not None and both.scheme == "digest" and both.parameters["nonce"] == "n"
    only = best_challenge(['Basic realm="camera"'])
    assert only is not None and only.scheme == "basic"
    assert only.answer(Credentials("Aladdin", "open sesame"), "GET", "/") == (
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="  # RFC 7617, section 2
    )
    assert best_challenge(["Negotiate"]) is None
    assert best_challenge(['Digest realm="x", nonce="n", algorithm=SHA-512']) is None
    assert best_challenge(['Digest realm="x", nonce="n", qop="auth-int"']) is None


@pytest.mark.parametrize("seed", range(100))
def test_damaged_streams_are_cut_alike_however_they_arrive(seed: int) -> None:
    """And every picture stands in the stream as it is: nothing is put together, nothing added."""
    chance = random.Random(seed)
    stream = bytearray()
    for _ in range(12):
        picture = chance.choice((RED, GREEN, BLUE))
        length = chance.choice((-1, -1, None, len(picture) - 9, len(picture) + 9, 1 << 40))
        stream += part(picture[: chance.choice((len(picture), len(picture), 99))], length)
        if chance.random() < 0.3:
            stream += chance.randbytes(chance.randrange(200))
    for _ in range(chance.choice((0, 3, 30))):
        stream[chance.randrange(len(stream))] = chance.randrange(256)
    content = bytes(stream)
    for make in (lambda: Parts("frame"), Pictures):
        whole, *others = (
            [piece for piece in cut(make(), content, size) if isinstance(piece, bytes)]
            for size in (1 << 20, 1, 13, 500)
        )
        assert all(found == whole for found in others)
        for picture in whole:
            assert picture in content and picture[:2] == b"\xff\xd8"
            assert picture.rstrip(b"\r\n\0 ").endswith(b"\xff\xd9")
