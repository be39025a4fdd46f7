"""Delegates of TFLite interpreters: parts of a model handed to other hardware or kernels.

A delegate is a shared library with the two functions of TensorFlow Lite's
``external_delegate_interface.h``; XNNPACK and LiteRT's GPU are part of the interpreter.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

from ..errors import MissingComponent, ModelError, UsageError, first_line
from ..quiet import quiet_stderr

#: What ``edgetpu_compiler`` puts in place of the operators that it compiled.
EDGETPU_OPERATOR = "edgetpu-custom-op"

_EDGETPU_LIBRARY = "libedgetpu.so.1"

#: Options of the delegates that have names, and what an option of XNNPACK is to the interpreter.
_EDGETPU_OPTIONS = ("device",)
_XNNPACK_OPTIONS = {"latest_features": "experimental_default_delegate_latest_features"}

_NAMES = "edgetpu, gpu, xnnpack, none or the path of a delegate's library"

_TRUTHS = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


class Delegate(NamedTuple):
    """A delegate as it was asked for.

    Attributes:
        kind: ``default``, ``none``, ``xnnpack``, ``edgetpu``, ``gpu`` or ``library``.
        library: Path of its library; None where the interpreter brings it along.
        options: Its options, passed on as they are.
    """

    kind: str = "default"
    library: str | None = None
    options: Mapping[str, str] = MappingProxyType({})


def parse_delegate(text: str | None) -> Delegate:
    """A delegate from the text of ``--delegate``: a name or a path, then ``,key=value``.

    Raises:
        UsageError: It is neither, or an option is none.
    """
    if text is None:
        return Delegate()
    name, *pairs = text.split(",")
    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--delegate {text}: expected key=value, found {pair!r}.")
        options[key.strip()] = value.strip()
    if name in ("none", "gpu"):
        return Delegate(name, None, _known(text, options, ()))
    if name == "xnnpack":
        for key, value in _known(text, options, tuple(_XNNPACK_OPTIONS)).items():
            if value.lower() not in _TRUTHS:
                raise UsageError(f"--delegate {text}: {key} is true or false, not {value!r}.")
        return Delegate(name, None, options)
    if name == "edgetpu":
        return Delegate(name, _EDGETPU_LIBRARY, _known(text, options, _EDGETPU_OPTIONS))
    if "/" in name or ".so" in name or name.endswith((".dylib", ".dll")):
        return Delegate("library", name, options)
    raise UsageError(f"--delegate {name}: expected {_NAMES}.")


def _known(text: str, options: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    for key in options:
        if key not in names:
            valid = f"its options are: {', '.join(names)}" if names else "it has no options"
            raise UsageError(f"--delegate {text}: unknown option {key!r}; {valid}.")
    return options


def load_delegate(
    delegate: Delegate,
    module: ModuleType,
    interpreter: str,
    model: str | bytes,
    where: str,
    alone: bool = False,
) -> dict[str, Any]:
    """The arguments by which a delegate is given to the class ``Interpreter``.

    Args:
        delegate: It.
        module: The module of the interpreter.
        interpreter: Its name and version, for messages.
        model: Path or contents of the file.
        where: Name of the file, for messages.
        alone: Whether XNNPACK is kept from what the delegate of a library leaves over.

    Raises:
        ModelError: The file was not compiled for the Edge TPU.
        MissingComponent: The library or the device is missing.
        UsageError: The interpreter does not offer what was asked for.
    """
    if delegate.kind == "default":
        return {}
    if delegate.kind == "none":
        return _without_xnnpack(module)
    if delegate.kind == "xnnpack":
        return _xnnpack(delegate, module, interpreter)
    if delegate.kind == "edgetpu":
        _check_compiled(model, where)
    rest = _without_xnnpack(module) if alone else {}
    return {"experimental_delegates": [_from_library(delegate, module, interpreter)], **rest}


def _without_xnnpack(module: ModuleType) -> dict[str, Any]:
    kinds = module.OpResolverType
    return {"experimental_op_resolver_type": kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES}


def _xnnpack(delegate: Delegate, module: ModuleType, interpreter: str) -> dict[str, Any]:
    import inspect

    offered = inspect.signature(module.Interpreter.__init__).parameters
    options = {}
    for key, value in delegate.options.items():
        if _XNNPACK_OPTIONS[key] not in offered:
            raise UsageError(f"--delegate xnnpack,{key}: {interpreter} does not offer it.")
        options[_XNNPACK_OPTIONS[key]] = _TRUTHS[value.lower()]
    return options


def _check_compiled(model: str | bytes, where: str) -> None:
    from .tflite_operators import read_operators

    if isinstance(model, str):
        with open(model, "rb") as stream:
            model = stream.read()
    if all(operator.name != EDGETPU_OPERATOR for operator in read_operators(model, where)):
        raise ModelError(
            f"{where}: was not compiled for the Edge TPU. Compile a tflite-int8 file with "
            f"edgetpu_compiler (https://coral.ai/docs/edgetpu/compiler), or leave out --delegate."
        )


def _from_library(delegate: Delegate, module: ModuleType, interpreter: str) -> Any:
    library = delegate.library or ""
    try:
        # load_delegate's own object complains when it is deleted half made, so look before.
        offered = hasattr(ctypes.CDLL(library), "tflite_plugin_create_delegate")
    except OSError as error:
        if delegate.kind == "edgetpu":
            raise MissingComponent(
                f"the Edge TPU's library {library} is not installed ({error}). Add Coral's "
                "package source (https://coral.ai/docs/accelerator/get-started), then: "
                "sudo apt install libedgetpu1-std"
            ) from error
        raise MissingComponent(f"--delegate {library}: cannot be loaded ({error}).") from error
    if not offered:
        raise UsageError(
            f"--delegate {library}: is no TFLite delegate (it has no function "
            "tflite_plugin_create_delegate)."
        )
    try:
        with quiet_stderr():
            return module.load_delegate(library, dict(delegate.options))
    except ValueError as error:
        if delegate.kind == "edgetpu":
            raise MissingComponent(
                f"{interpreter} found no Edge TPU{_asked(delegate)}. Plug it in again (lsusb "
                "shows 1a6e:089a or 18d1:9302, a PCIe one is /dev/apex_0), and see that you may "
                "use it: sudo usermod -aG plugdev,apex $USER, then log in again."
            ) from error
        reason = first_line(error)
        raise MissingComponent(f"--delegate {library}: did not start ({reason}).") from error


def _asked(delegate: Delegate) -> str:
    return f" as device {delegate.options['device']}" if "device" in delegate.options else ""


def placement(interpreter: Any) -> dict[str, int] | None:
    """What of a graph runs in a delegate, whichever it is, after ``allocate_tensors``.

    See :func:`.placing.describe_placement` for what runs in the one that was asked for.

    Returns:
        ``operators`` of the graph, how many of them are ``delegated``, and into how many
        ``parts``; None where the interpreter does not tell.
    """
    details: list[dict[str, Any]] | None = None
    with contextlib.suppress(Exception):  # not part of the public interface
        details = interpreter._get_ops_details()
    if details is None:
        return None
    parts = [node for node in details if node["op_name"] == "DELEGATE"]
    nodes = [node for node in details if node["op_name"] != "DELEGATE"]
    maker = {int(t): number for number, node in enumerate(nodes) for t in node["outputs"]}
    inside: set[int] = set()
    for part in parts:
        given = {int(t) for t in part["inputs"]}
        open_ends = [int(t) for t in part["outputs"]]
        while open_ends:  # backwards from what the part gives to what it takes
            tensor = open_ends.pop()
            number = maker.get(tensor)
            if tensor in given or number is None or number in inside:
                continue
            inside.add(number)
            open_ends += [int(t) for t in nodes[number]["inputs"]]
    return {"operators": len(nodes), "delegated": len(inside), "parts": len(parts)}


def describe(delegate: Delegate, where: Mapping[str, int] | None) -> str:
    """What runs a graph, for people: ``XNNPACK (240 of 242 operators)``."""
    named = {"default": "XNNPACK", "xnnpack": "XNNPACK", "edgetpu": "Edge TPU", "gpu": "GPU"}
    name = named.get(delegate.kind, delegate.library or "")
    if delegate.kind == "none" or (where is not None and not where["parts"]):
        return "the interpreter's own kernels"
    if where is None:
        return name
    return f"{name} ({where['delegated']} of {where['operators']} operators)"
