"""Packages of the ``train`` extra, imported where they are used."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from edge_runtime.errors import missing_package


def import_module(module: str, package: str, purpose: str) -> Any:
    """Import a module of a package that the ``train`` extra installs.

    Args:
        module: Dotted name, e.g. ``sklearn.metrics``.
        package: Name under which pip knows it.
        purpose: What it is needed for, as the object of "needed to ...".

    Raises:
        MissingComponent: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing_package(package, "train", purpose) from error


def check_packages(packages: Sequence[tuple[str, str]], purpose: str) -> None:
    """Find out that packages are there before hours of work, without importing them.

    Args:
        packages: Module, and the name under which pip knows its package.
        purpose: As for :func:`import_module`.

    Raises:
        MissingComponent: One is not installed.
    """
    for module, package in packages:
        if importlib.util.find_spec(module) is None:
            raise missing_package(package, "train", purpose)
