"""Prove a bundle on the machine at hand: its files, decoding and resizing, every interpreter."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .bundle import Bundle
from .child.asking import Session, module_command
from .engine import Engine
from .errors import EdgeError, ImageError, MissingComponent, UsageError, first_line
from .golden import Golden, GoldenPhoto, pixels_digest, read_golden
from .manifest import Artifact, PreprocessSpec
from .preprocess import preprocess

#: The child that runs the artifacts.
COMMAND = module_command("edge_runtime.selftest_worker")

#: Grey levels by which JPEG decoders may differ (IEEE 1180-1990 allows an inverse DCT
#: a peak error of 1).
JPEG_TOLERANCE = 1

#: Seconds for the few photos of one artifact, opening TensorFlow on a slow machine included.
_TIMEOUT = 600

OK, FAILED, NOT_RUN = "ok", "failed", "not run"


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Attributes:
        kind: ``checksums``, ``photo`` or ``artifact``.
        subject: Which: the bundle, a photo's file name, a format.
        result: ``ok``, ``failed`` or ``not run``.
        detail: The figures or the reason, for people.
        figures: The figures, for programs.
        missing: Whether a component that is not installed kept it from running.
    """

    kind: str
    subject: str
    result: str
    detail: str
    figures: dict[str, Any] = field(default_factory=dict)
    missing: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of this check."""
        names = ("kind", "subject", "result", "detail")
        return {name: getattr(self, name) for name in names} | self.figures


def run_selftest(
    bundle: Bundle, formats: Sequence[str] = (), engine: Engine | None = None
) -> Iterator[Check]:
    """Check a bundle, a result at a time.

    Photos are decoded and preprocessed from their original files; the artifacts then get the
    pixels as they must be, so that a difference of theirs is the interpreter's.

    Args:
        bundle: It.
        formats: Artifacts to run; none for all.
        engine: What is asked of the interpreters; artifacts that it does not fit are not run.

    Raises:
        UsageError: The bundle has no such format, or the engine does not fit it.
        BundleError: A file is damaged, or there are no golden photos.
    """
    wanted = [bundle.manifest.artifact(fmt) for fmt in dict.fromkeys(formats)]
    engine = engine or Engine()
    for artifact in wanted:
        engine.check_for(bundle.path / artifact.file)
    bundle.verify()
    golden = read_golden(bundle.path, bundle.manifest)
    artifacts = bundle.manifest.artifacts
    size = sum(artifact.bytes for artifact in artifacts)
    yield Check(
        "checksums", bundle.source.name, OK,
        f"{len(artifacts)} model files, {size / 1e6:.1f} MB, {len(golden.photos)} photos",
        {"bytes": size},
    )  # fmt: skip
    pixels = []
    for photo in golden.photos:
        check, made = check_photo(photo, bundle.manifest.info.preprocess)
        yield check
        pixels.append(made if photo.pixels is None else photo.pixels)
    # TensorFlow last: a process that holds it is no longer like a device's.
    order = sorted(wanted or artifacts, key=lambda artifact: artifact.format == "saved_model")
    usable = [i for i, made in enumerate(pixels) if made is not None]
    if not usable:
        for artifact in order:
            yield Check("artifact", artifact.format, FAILED, "no photo could be prepared for it")
        return
    chosen = Golden(tuple(golden.photos[i] for i in usable), golden.tolerances)
    with tempfile.TemporaryDirectory(prefix="edge-classify-") as folder, Session(COMMAND) as child:
        file = Path(folder) / "pixels.npy"
        np.save(file, np.stack([p for p in pixels if p is not None]))
        for artifact in order:
            yield check_artifact(bundle, artifact, chosen, file, child, engine)


def check_photo(photo: GoldenPhoto, spec: PreprocessSpec) -> tuple[Check, np.ndarray | None]:
    """Decode, turn and resize a golden photo, and compare the pixels.

    Returns:
        The check, and the pixels uint8 (h, w, 3) if they are as they must be.
    """
    name = photo.file.name
    try:
        made = preprocess(photo.file.read_bytes(), spec)
    except ImageError as error:
        return Check("photo", name, FAILED, first_line(error)), None
    if pixels_digest(made) == photo.pixels_sha256:
        figures = {"max_diff": 0, "tolerance": 0 if photo.exact else JPEG_TOLERANCE}
        return Check("photo", name, OK, "pixels equal to the bit", figures), made
    allowed = 0 if photo.exact else JPEG_TOLERANCE
    if photo.pixels is None or photo.pixels.shape != made.shape:
        detail = "other pixels than on the exporting machine"
        return Check("photo", name, FAILED, detail, {"max_diff": None, "tolerance": allowed}), None
    difference = np.abs(made.astype(np.int16) - photo.pixels)
    largest = int(difference.max())
    figures = {"max_diff": largest, "tolerance": allowed}
    detail = f"pixels differ by at most {largest} of 255, {difference.mean():.4f} on average"
    passed = largest <= allowed
    return Check(
        "photo", name, OK if passed else FAILED, f"{detail} (allowed: {allowed})", figures
    ), made if passed else None  # fmt: skip


def check_artifact(
    bundle: Bundle,
    artifact: Artifact,
    golden: Golden,
    pixels: Path,
    child: Session,
    engine: Engine,
) -> Check:
    """Run one artifact in a child process and compare its scores with the stored ones.

    Args:
        bundle: It.
        artifact: One of its artifacts.
        golden: The photos in ``pixels``, in that order.
        pixels: ``.npy`` of uint8 (n, h, w, 3).
        child: Runs :mod:`edge_runtime.selftest_worker`.
        engine: What is asked of the interpreter.
    """
    fmt = artifact.format
    try:
        engine.check_for(bundle.path / artifact.file)
    except UsageError as error:
        return Check("artifact", fmt, NOT_RUN, str(error))
    request = {
        "engine": asdict(engine),
        "model": str((bundle.path / artifact.file).absolute()),
        "pixels": str(pixels),
        "kind": bundle.manifest.info_of(artifact).output.kind,
    }
    try:
        answer = child.ask(request, _TIMEOUT)
    except MissingComponent as error:
        return Check("artifact", fmt, NOT_RUN, str(error), missing=True)
    except EdgeError as error:
        return Check("artifact", fmt, FAILED, str(error))
    scores = np.array(answer["scores"], np.float32)
    stored = np.stack([photo.scores[fmt] for photo in golden.photos])
    if scores.shape != stored.shape:
        detail = f"gives scores of shape {scores.shape}, expected {stored.shape}"
        return Check("artifact", fmt, FAILED, detail)
    largest = float(np.abs(scores - stored).max())
    allowed = golden.tolerances[fmt]
    agreed = int((scores.argmax(axis=1) == stored.argmax(axis=1)).sum())
    figures = {
        "max_abs_diff": largest if np.isfinite(largest) else None,
        "tolerance": allowed,
        "same_label": agreed,
        "photos": len(stored),
        "interpreter": answer["interpreter"],
        "ms": answer["ms"],
    }
    passed = largest <= allowed  # false for a NaN, too
    return Check(
        "artifact", fmt, OK if passed else FAILED,
        f"scores differ by at most {largest:.1e} (allowed: {allowed:.1e}), {agreed} of "
        f"{len(stored)} labels as stored, {answer['ms']:.1f} ms a photo with "
        f"{answer['interpreter']}",
        figures,
    )  # fmt: skip
