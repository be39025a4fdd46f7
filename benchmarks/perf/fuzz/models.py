"""Models, bundles, manifests and labels that are spoilt: written to a folder, by number."""

from __future__ import annotations

import copy
import json
import random
import shutil
import zipfile
from pathlib import Path
from typing import Any

from edge_runtime.manifest import MANIFEST_NAME

from .mutations import mutate

#: What is spoilt, and how often.
_KINDS = (
    *("tflite",) * 4, *("onnx",) * 3, *("zip",) * 2, *("manifest",) * 3, "labels", "member", "beside",
)  # fmt: skip

#: What a file beside a model says of it, as YAML and as JSON.
_BESIDE = (
    (".yaml", b"labels: [red, green, blue]\nnormalization: unit\nfit: crop\nkernel: bilinear\n"),
    (".yaml", b"mean: [1, 2, 3]\nstd: 58.4\nlayout: NHWC\nchannel-order: RGB\n"),
    (".json", b'{"labels": ["red", "green", "blue"], "normalization": "raw", "fit": "pad"}'),
)

#: A few kB of YAML that are gigabytes once every name is replaced by what it stands for.
_LAUGHS = b"a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 10)
)

#: What a value of a manifest is replaced by.
_ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1 << 70, 1e400, float("nan"), "", "../../etc/passwd", "a" * 100_000, [], {},
    [[]], {"": None}, "\ud800", "\0", "tflite-fp32", [None] * 1000,
)  # fmt: skip


def make_model(bundle: Path, folder: Path, number: int) -> tuple[str, Path]:
    """Write the model of a number.

    Args:
        bundle: A whole bundle, small, with a .tflite and perhaps an .onnx file.
        folder: Empty; what is written lies below it.
        number: Decides everything.

    Returns:
        What was spoilt, and the path to open.
    """
    chance = random.Random(f"model {number}")  # noqa: S311 - not for secrets
    kind = chance.choice(_KINDS)
    files = sorted(bundle.glob(f"*.{kind}")) or sorted(bundle.glob("*.tflite"))
    if kind in ("tflite", "onnx"):
        source = chance.choice(files)
        target = folder / f"model{source.suffix}"
        target.write_bytes(mutate(source.read_bytes(), chance, [f.read_bytes() for f in files]))
        return kind, target
    if kind == "beside":
        target = folder / "model.tflite"
        target.write_bytes(files[0].read_bytes())
        suffix, text = chance.choice(_BESIDE)
        made = chance.choice((mutate(text, chance, []), mutate(text, chance, []), _LAUGHS))
        if not chance.randrange(8):
            made = chance.choice((b"[", b"{a: ", b"- ")) * chance.choice((500, 5_000, 100_000))
        target.with_name(target.name + suffix).write_bytes(made)
        return kind, target
    if kind == "zip":
        target = folder / "bundle.zip"
        packing = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
        with zipfile.ZipFile(target, "w", packing) as archive:
            for file in sorted(file for file in bundle.rglob("*") if file.is_file()):
                # A date of its own would make another file of the same number.
                entry = zipfile.ZipInfo(f"bundle/{file.relative_to(bundle).as_posix()}")
                entry.compress_type = packing
                archive.writestr(entry, file.read_bytes())
        target.write_bytes(mutate(target.read_bytes(), chance, []))
        return kind, target
    target = Path(shutil.copytree(bundle, folder / "bundle"))
    if kind == "manifest":
        file = target / MANIFEST_NAME
        file.write_bytes(_spoil_json(file.read_text(encoding="utf-8"), chance))
    elif kind == "labels":
        file = target / "labels.txt"
        text = file.read_bytes() if file.exists() else b"a\nb\n"
        file.write_bytes(mutate(text, chance, [bytes(range(256))]))
    else:
        file = chance.choice(sorted(f for f in target.rglob("*") if f.is_file()))
        file.write_bytes(mutate(file.read_bytes(), chance, []))
    return kind, target


def _spoil_json(text: str, chance: random.Random) -> bytes:
    way = chance.randrange(8)
    if way == 0:
        return mutate(text.encode(), chance, [])
    if way == 1:  # nested deeper than a recursive reader goes
        depth = chance.choice((500, 5_000, 100_000))
        return (chance.choice(("[", '{"a":')) * depth).encode()
    data = json.loads(text)
    for _ in range(chance.choice((1, 1, 2, 5))):
        _spoil_value(data, chance)
    made = json.dumps(data)
    if way == 2:
        made = made.replace('"bytes":', f'"bytes": {"9" * 5_000}, "bytes":', 1)
    return made.encode("utf-8", "surrogatepass")


def _spoil_value(data: Any, chance: random.Random) -> None:
    """Replace or remove one value, at any depth, or put another of the document in its place."""
    places: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            places.append((value, key))
            if isinstance(inner, (dict, list)):
                collect(inner)

    collect(data)
    if not places:
        return
    holder, key = chance.choice(places)
    way = chance.randrange(4)
    if way == 0:
        del holder[key]
    elif way == 1:
        other, name = chance.choice(places)
        holder[key] = copy.deepcopy(other[name])
    else:
        holder[key] = copy.deepcopy(chance.choice(_ODD))
