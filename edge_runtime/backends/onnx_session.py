"""Sessions of onnxruntime: execution providers, and what its refusals mean."""

from __future__ import annotations

import re
from typing import Any

from ..engine import Engine
from ..errors import (
    MissingComponent,
    ModelError,
    UnsupportedOperator,
    UsageError,
    first_line,
    missing_package,
)
from .base import default_threads

_SUFFIX = "ExecutionProvider"
_CPU = "CPUExecutionProvider"

#: Package that brings a provider where the plain one does not.
_PACKAGES = {
    "CUDAExecutionProvider": "onnxruntime-gpu",
    "TensorrtExecutionProvider": "onnxruntime-gpu",
    "OpenVINOExecutionProvider": "onnxruntime-openvino",
    "QNNExecutionProvider": "onnxruntime-qnn",
    "MIGraphXExecutionProvider": "onnxruntime-migraphx",
    "DmlExecutionProvider": "onnxruntime-directml",
}

# How onnxruntime refuses; compiled where they are used, in an error's way and not in a start's.
_OPSET = r"(?s)Opset (\d+) is under development.*till opset (\d+)"
_IR = r"Unsupported model IR version: (\d+), max supported IR version: (\d+)"
_NO_OPERATOR = r"No Op registered for (\S+) with domain_version of (\d+)"
_NO_KERNEL = r"Could not find an implementation for (\w+)\((\d+)\)"
_FOREIGN = r"(\S+:\S+?)\((-?\d+)\) is not a registered function/op"

#: A provider and its options.
Provider = tuple[str, dict[str, str]]


def import_onnxruntime() -> Any:
    """The module ``onnxruntime``.

    Raises:
        MissingComponent: It is not installed, or cannot start.
    """
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise MissingComponent(
                f"onnxruntime is installed but cannot start: {error}. Reinstall it."
            ) from error
        raise missing_package("onnxruntime", "onnx", "run a .onnx file") from error
    except ImportError as error:
        raise MissingComponent(
            f"onnxruntime is installed but cannot start: {error}. Reinstall it, "
            "or see which versions go together in the README."
        ) from error
    return onnxruntime


def open_session(model: str | bytes, engine: Engine, where: str, profile: str | None = None) -> Any:
    """An ``InferenceSession`` with the providers asked for, and no others but the CPU.

    Args:
        model: Path or contents of the file.
        engine: Threads and providers.
        where: Name of the file, for messages.
        profile: Path that the file of onnxruntime's profiler begins with; None for no profile.

    Raises:
        UsageError: No provider has that name.
        MissingComponent: onnxruntime or a provider is missing, or a provider cannot start.
        UnsupportedOperator: The file needs a newer onnxruntime.
        ModelError: It is no whole ONNX file.
    """
    onnxruntime = import_onnxruntime()
    providers = [parse_provider(text, onnxruntime) for text in engine.providers]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = engine.threads or default_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, profile
    names = [name for name, _ in providers]
    if _CPU not in names:
        providers = [*providers, (_CPU, {})]
    try:
        # Its own fallback would print to stdout and run on the CPU in silence.
        session = onnxruntime.InferenceSession(
            model, options, providers=providers, enable_fallback=0
        )
    except Exception as error:  # onnxruntime's own exceptions share no public base class
        raise _refusal(error, onnxruntime.__version__, where, names) from error
    taken = session.get_providers()
    dropped = [name for name in names if name not in taken]
    if dropped:
        raise MissingComponent(
            f"{where}: {', '.join(dropped)} did not start: its libraries or its device are "
            f"missing (onnxruntime {onnxruntime.__version__} uses {', '.join(taken)} instead). "
            "Install what it needs, or leave out --provider."
        )
    return session


def parse_provider(text: str, onnxruntime: Any) -> Provider:
    """A provider and its options from ``NAME[:key=value,...]``; the name may lack its ending.

    Args:
        text: As on the command line; case does not matter.
        onnxruntime: The module.

    Raises:
        UsageError: There is no such provider, or an option is none.
        MissingComponent: This onnxruntime was built without it.
    """
    name, _, rest = text.partition(":")
    wanted = name.strip().lower().removesuffix(_SUFFIX.lower())
    available = onnxruntime.get_available_providers()
    known = {p.removesuffix(_SUFFIX).lower(): p for p in onnxruntime.get_all_providers()}
    known |= {p.removesuffix(_SUFFIX).lower(): p for p in available}
    listed = ", ".join(available)
    if wanted not in known:
        raise UsageError(f"--provider {text}: no such provider. Available here: {listed}.")
    found = known[wanted]
    if found not in available:
        package = _PACKAGES.get(found)
        remedy = f" Install it with: pip install {package}" if package else ""
        raise MissingComponent(
            f"--provider {text}: onnxruntime {onnxruntime.__version__} was built without it. "
            f"Available here: {listed}.{remedy}"
        )
    options = {}
    for pair in filter(None, rest.split(",")):
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--provider {text}: expected key=value, found {pair!r}.")
        options[key.strip()] = value.strip()
    return found, options


def _refusal(
    error: Exception, version: str, where: str, names: list[str]
) -> ModelError | MissingComponent:
    message, who = str(error), f"onnxruntime {version}"
    newer = "Upgrade it with: pip install --upgrade onnxruntime"
    older = "or export the model with an older opset (edge-export bundle RUN --opset 17)."
    if found := re.search(_OPSET, message):
        reason = f"needs opset {found[1]}; {who} knows opsets up to {found[2]}"
    elif found := re.search(_IR, message):
        reason = f"has IR version {found[1]}; {who} knows versions up to {found[2]}"
    elif found := re.search(_NO_OPERATOR, message) or re.search(_NO_KERNEL, message):
        reason = f"{who} does not know the operator {found[1]} of opset {found[2]}"
    elif found := re.search(_FOREIGN, message):
        reason = f"{who} does not know the operator {found[1]}"
    elif any(name != _CPU and name in message for name in names):
        return MissingComponent(
            f"{where}: {', '.join(names)} cannot start with {who} ({first_line(error)}). "
            "Install what it needs, or leave out --provider."
        )
    else:
        return ModelError(
            f"{where}: onnxruntime cannot load it ({first_line(error)}). Export it again."
        )
    return UnsupportedOperator(f"{where}: {reason}. {newer}; {older}")
