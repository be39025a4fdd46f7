"""Which interpreter runs a model, on how many threads and with which delegate."""

from __future__ import annotations

import os

from .errors import UsageError
from .records import dataclass

#: Names of the interpreters, those of .tflite files in the order in which they are tried.
TFLITE_INTERPRETERS = ("litert", "tflite-runtime", "tensorflow")
INTERPRETERS = (*TFLITE_INTERPRETERS, "onnxruntime")


@dataclass(frozen=True)
class Engine:
    """What a caller may ask of the interpreter; the defaults suit every board.

    Raises:
        UsageError: There is no interpreter of that name.
    """

    #: Threads; None for the usable cores, at most 4.
    threads: int | None = None
    #: ``litert``, ``tflite-runtime``, ``tensorflow`` or ``onnxruntime``; None for the first that is
    #: installed and able.
    interpreter: str | None = None
    #: Of a .tflite file: ``edgetpu``, ``gpu``, ``xnnpack``, ``none`` (not even XNNPACK) or the
    #: path of a delegate's library, then perhaps ``,key=value`` for its options; None for
    #: XNNPACK where it has kernels, and the interpreter's own elsewhere.
    delegate: str | None = None
    #: Of a .onnx file: onnxruntime's execution providers, the preferred one first, each perhaps
    #: with ``:key=value,key=value``; empty for the CPU.
    providers: tuple[str, ...] = ()
    #: Of a .tflite file: whether its contents are held in memory and not mapped, so that nobody can
    #: overwrite what runs; costs the file's size.
    private: bool = False

    def __post_init__(self) -> None:
        """Refuse a name that nobody has; take a list, as JSON has it, for a tuple."""
        object.__setattr__(self, "providers", tuple(self.providers))
        if self.interpreter is not None and self.interpreter not in INTERPRETERS:
            raise UsageError(
                f"interpreter {self.interpreter!r}: expected one of {', '.join(INTERPRETERS)}."
            )

    def check_for(self, path: str | os.PathLike[str]) -> None:
        """Refuse what makes no sense for a model file.

        Raises:
            UsageError: The interpreter does not run such files, or it is no TFLite file and has
                a delegate, or no ONNX file and has providers.
        """
        suffix = os.path.splitext(os.fspath(path))[1]
        able = {".tflite": TFLITE_INTERPRETERS, ".onnx": ("onnxruntime",)}.get(
            suffix, ("tensorflow",)
        )
        if self.interpreter is not None and self.interpreter not in able:
            raise UsageError(
                f"{os.fspath(path)}: --interpreter {self.interpreter} does not run it; "
                f"{' or '.join(able)} does. In a bundle --format chooses another file."
            )
        if self.delegate is not None and suffix != ".tflite":
            raise UsageError(
                f"{os.fspath(path)}: --delegate {self.delegate} is for .tflite files"
                f"{'; a .onnx file has --provider' if suffix == '.onnx' else ''}."
            )
        if self.providers and suffix != ".onnx":
            raise UsageError(
                f"{os.fspath(path)}: --provider {self.providers[0]} is for .onnx files"
                f"{'; a .tflite file has --delegate' if suffix == '.tflite' else ''}."
            )
