"""Frozen dataclasses that cost little to define: those that every start defines.

``dataclasses.dataclass(frozen=True)`` compiles six methods for each class, 0.35 ms on x86 and several
times that on a small board; a start of ``edge-classify`` defines a dozen. Here ``__init__`` alone is
compiled, the others are shared. To a type checker they are dataclasses, and so they are in use:
``dataclasses.fields``, ``replace`` and ``asdict`` find what they look for, made when it is asked for.

Import ``dataclass``, ``field`` and ``replace`` from here in what a start loads. Only
``@dataclass(frozen=True)`` and ``field(default_factory=...)`` are known, and a record has no base
that is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
    from dataclasses import field as field
    from dataclasses import replace as replace


def field_names(record: Any) -> tuple[str, ...]:
    """Names of the fields of a record or its class, in their order."""
    names: tuple[str, ...] = record.__match_args__
    return names


class _Made:
    """A default that is made anew for each record."""

    def __init__(self, default_factory: Any) -> None:
        self.make = default_factory


def _field(*, default_factory: Any) -> Any:
    return _Made(default_factory)


def _dataclass(*, frozen: bool) -> Any:
    if not frozen:
        raise TypeError("records are frozen; use dataclasses.dataclass.")
    return _record


def _replace(record: Any, /, **changes: Any) -> Any:
    kept = {name: getattr(record, name) for name in field_names(record) if name not in changes}
    return type(record)(**kept, **changes)


def _record(cls: type[Any]) -> type[Any]:
    # inspect, which would look annotations up on every Python, costs a start more than all of this.
    names = tuple(cls.__dict__.get("__annotations__", ()))  # noqa: RUF063
    defaults = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
    setattr(cls, "__match_args__", names)  # noqa: B010  # a type checker knows better
    setattr(cls, "__init__", _init_of(cls, names, defaults))  # noqa: B010
    for name, default in defaults.items():
        if isinstance(default, _Made):
            delattr(cls, name)
    for method in (_eq, _hash, _repr, _setattr, _delattr):
        name = f"__{method.__name__[1:]}__"
        if name not in cls.__dict__:
            setattr(cls, name, method)
    setattr(cls, "__replace__", _replace)  # noqa: B010  # of copy.replace, Python 3.13
    for name in ("__dataclass_fields__", "__dataclass_params__"):
        setattr(cls, name, _OnDemand(name, defaults))
    return cls


def _init_of(cls: type[Any], names: tuple[str, ...], defaults: dict[str, Any]) -> Any:
    known: dict[str, Any] = {"set_": object.__setattr__, "Made_": _Made, "defaults_": defaults}
    arguments, lines = ["self"], []
    for name in names:
        made = isinstance(defaults.get(name), _Made)
        arguments.append(f"{name}=defaults_[{name!r}]" if name in defaults else name)
        value = f"{name}.make() if {name} is defaults_[{name!r}] else {name}" if made else name
        lines.append(f" set_(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    exec(f"def __init__({', '.join(arguments)}):\n" + "\n".join(lines), known)  # noqa: S102
    made_init = known["__init__"]
    made_init.__qualname__ = f"{cls.__qualname__}.__init__"
    made_init.__module__ = cls.__module__
    made_init.__annotations__ = {**cls.__annotations__, "return": None}
    return made_init


class _OnDemand:
    """What :mod:`dataclasses` keeps on a class, made the first time that it is looked at."""

    def __init__(self, name: str, defaults: dict[str, Any]) -> None:
        self._name, self._defaults = name, defaults

    def __get__(self, record: object, owner: type[Any]) -> Any:
        import dataclasses

        home = next(cls for cls in owner.__mro__ if cls.__dict__.get(self._name) is self)
        namespace = {"__annotations__": home.__annotations__, "__module__": home.__module__}
        for name, default in self._defaults.items():
            made = isinstance(default, _Made)
            value = dataclasses.field(default_factory=default.make) if made else default
            namespace[name] = value
        like: type[Any] = dataclasses.dataclass(frozen=True)(type(home.__name__, (), namespace))
        for name in ("__dataclass_fields__", "__dataclass_params__"):
            setattr(home, name, like.__dict__[name])
        return home.__dict__[self._name]


def _values(record: Any) -> tuple[Any, ...]:
    return tuple(getattr(record, name) for name in record.__match_args__)


def _eq(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return _values(self) == _values(other)


def _hash(self: Any) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{self.__class__.__qualname__}({shown})"


def _setattr(self: Any, name: str, value: object) -> None:
    del value
    raise _frozen(f"cannot assign to field {name!r}")


def _delattr(self: Any, name: str) -> None:
    raise _frozen(f"cannot delete field {name!r}")


def _frozen(message: str) -> Exception:
    from dataclasses import FrozenInstanceError

    return FrozenInstanceError(message)


if not TYPE_CHECKING:
    dataclass, field, replace = _dataclass, _field, _replace
