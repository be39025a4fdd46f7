"""Which interpreter runs a model, on how many threads and with which delegate."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Engine:
    """What a caller may ask of the interpreter; the defaults suit every board."""

    #: Threads; None for the usable cores, at most 4.
    threads: int | None = None
    #: ``litert``, ``tflite-runtime``, ``tensorflow`` or ``onnxruntime``; None for the first that is
    #: installed and able.
    interpreter: str | None = None
    #: Of a .tflite file: ``edgetpu``, ``gpu``, ``none`` (not even XNNPACK) or the path of a
    #: delegate's library, then perhaps ``,key=value`` for its options; None for XNNPACK.
    delegate: str | None = None
    #: Of a .onnx file: onnxruntime's execution providers, the preferred one first; empty for the
    #: CPU.
    providers: tuple[str, ...] = ()
