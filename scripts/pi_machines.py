"""Where ``test_pi.py`` runs the wheel: this machine, and emulated Raspberry Pis.

An emulated board is a Debian arm64 system in a folder, whose programs qemu runs. Two scripts make
and enter it; CONTRIBUTING.md says what they have to do.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

REPO = Path(__file__).resolve().parents[1]

#: Debian releases that the set-up script makes. Raspberry Pi OS is named after the same ones.
SUITES = ("bookworm", "trixie")

#: Processors that qemu plays: of a Pi 4, of a Pi 5, of a Pi 3 and a Zero 2 W.
CPUS = ("cortex-a72", "cortex-a76", "cortex-a53")

#: The work folder, as an emulated board sees it.
_INSIDE = "/pi"

#: Everything that goes into a wheel; a build in the tree would ship what an old `build/` still holds.
_SOURCES = (
    "setup.cfg", "pyproject.toml", "README.md", "LICENSE",
    "trainer", "exporter", "edge_runtime", "benchmarks",
)  # fmt: skip


class Missing(click.ClickException):
    """This machine lacks what the test needs; exit code 5, as in the four commands."""

    exit_code = 5


@dataclass(frozen=True)
class Machine:
    """A place to run commands in, with the work folder as the current one.

    Attributes:
        name: Short, for the table and for folder names.
        prefix: What stands in front of a command.
        work: The work folder, as this machine's programs are started from here.
    """

    name: str
    prefix: tuple[str, ...]
    work: Path

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command; its outcome is the caller's to judge."""
        # A board's environment comes from its own script; here, nothing but the wheel is imported.
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        return subprocess.run(
            [*self.prefix, *command], cwd=self.work, env=env, capture_output=True, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def edge_classify(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command that :meth:`install` installed."""
        return self.run([f"venv-{self.name}/bin/edge-classify", *arguments])

    def install(self, wheel: str, extra: str = "") -> None:
        """Install the wheel with pip alone, from wheels alone, into a virtual environment.

        Args:
            wheel: The wheel's name in the work folder.
            extra: ``""`` for the base install, or the name of an extra, which is added.

        Raises:
            ClickException: pip refused, or the packages contradict each other.
        """
        if not (self.work / f"venv-{self.name}").exists():
            python = "python3" if self.prefix else sys.executable
            self._must([python, "-m", "venv", f"venv-{self.name}"])
        pip = [f"venv-{self.name}/bin/python", "-m", "pip"]
        what = f"./{wheel}[{extra}]" if extra else f"./{wheel}"
        self._must([*pip, "install", "--quiet", "--only-binary=:all:", what])
        self._must([*pip, "check"])

    def versions(self) -> str:
        """Machine, Python and the packages that were installed, in a line."""
        code = (
            "import platform, importlib.metadata as m\n"
            "print(platform.machine(), 'Python', platform.python_version(), end='')\n"
            "for d in sorted(m.distributions(), key=lambda d: d.name.lower()):\n"
            "    print(',', d.name, d.version, end='')"
        )
        return self._must([f"venv-{self.name}/bin/python", "-c", code])

    def _must(self, command: Sequence[str]) -> str:
        done = self.run(command)
        if done.returncode != 0:
            raise click.ClickException(
                f"{self.name}: `{' '.join(command)}` ended with {done.returncode}:\n"
                + last_lines(done.stderr or done.stdout)
            )
        return done.stdout


def last_lines(text: str, count: int = 15) -> str:
    """The end of what a program said, indented."""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-count:])


def check_tools(tools: Path) -> None:
    """Whether emulated boards can be made here at all.

    Raises:
        Missing: No; the message says what is missing.
    """
    absent = [name for name in ("pi-setup.sh", "pi-run.sh") if not (tools / name).is_file()]
    if absent:
        raise Missing(
            f"{tools} has no {' and no '.join(absent)}. Name the folder of these scripts with "
            "PI_TOOLS=DIR (CONTRIBUTING.md says what they do)."
        )
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise Missing(
            f"the boards are compared with x86-64 Linux; this is {platform.machine()} "
            f"{sys.platform}. On a real board run `edge-classify selftest BUNDLE`."
        )
    if os.geteuid() != 0:
        raise Missing("root is needed to make and to enter an emulated board: sudo make test-pi")


def this_machine(work: Path) -> Machine:
    """The x86-64 machine that the boards are compared with."""
    return Machine("x86", (), work)


def emulated_board(tools: Path, suite: str, cpu: str, work: Path) -> Machine:
    """Make an emulated board, or take the one that was made before.

    Args:
        tools: Folder of the two scripts.
        suite: One of :data:`SUITES`.
        cpu: One of :data:`CPUS`.
        work: The work folder.

    Raises:
        Missing: The set-up failed, for instance for want of qemu or a network.
    """
    done = subprocess.run(
        [tools / "pi-setup.sh", suite], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise Missing(
            f"pi-setup.sh {suite} ended with {done.returncode}. It needs qemu-user-static and "
            f"mmdebstrap, and a Debian mirror:\n{last_lines(done.stderr or done.stdout)}"
        )
    run = os.fspath(tools / "pi-run.sh")
    mount = f"{work}:{_INSIDE}"
    return Machine(suite, (run, "-s", suite, "-c", cpu, "-b", mount, "-w", _INSIDE, "--"), work)


def build_wheel(work: Path) -> str:
    """Build the wheel from a copy of the sources; returns its name in the work folder.

    Raises:
        Missing: The package ``build`` is not installed.
        ClickException: The build failed.
    """
    source = work / "source"
    source.mkdir()
    for name in _SOURCES:
        path = REPO / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", os.fspath(work), "source"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    if "No module named build" in done.stderr:
        raise Missing("the package `build` is missing; `make test-pi` brings it.")
    if done.returncode != 0:
        raise click.ClickException(f"building the wheel failed:\n{last_lines(done.stderr)}")
    shutil.rmtree(source)
    return next(work.glob("*.whl")).name
