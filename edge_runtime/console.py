"""What the four command lines share: messages, exit codes, common options.

Results go to stdout, everything else to stderr. A command is a function that raises the
toolkit's errors; :class:`EdgeGroup` turns them into a message and the exit code of
:mod:`edge_runtime.errors`.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import click

from . import __version__
from .errors import EdgeError, system_failure

#: The loggers whose lines a command shows.
LOGGERS = ("edge_runtime", "trainer", "exporter", "benchmarks")

#: What a reader of the exit code has to know about an interrupted command (128 + signal).
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class Terminated(BaseException):
    """SIGTERM arrived; raised where the program stands so that it can clean up."""


class StderrHandler(logging.Handler):
    """What a command says, a line a message.

    Attributes:
        give_way: Called before a line, under the handler's lock: a progress line removes itself.
    """

    give_way: Callable[[], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        if self.give_way is not None:
            self.give_way()
        prefix = {logging.WARNING: "warning: ", logging.ERROR: "error: "}.get(record.levelno, "")
        click.echo(prefix + record.getMessage(), err=True)


def _set_level(level: int) -> None:
    for name in LOGGERS:
        logging.getLogger(name).setLevel(level)


def _on_verbose(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.find_root().meta["edge.verbose"] = True
        _set_level(logging.DEBUG)


def _on_quiet(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        _set_level(logging.WARNING)


def _verbosity_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["-v", "--verbose"], is_flag=True, expose_value=False, callback=_on_verbose,
            help="Say more on stderr; show tracebacks of unexpected errors.",
        ),
        click.Option(
            ["-q", "--quiet"], is_flag=True, expose_value=False, callback=_on_quiet,
            help="Say nothing but warnings and errors on stderr.",
        ),
    ]  # fmt: skip


class EdgeCommand(click.Command):
    """A command with ``--verbose`` and ``--quiet``, and an example at the end of its help."""

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {}).setdefault("max_content_width", 100)
        super().__init__(*args, **kwargs)
        self.example = example
        self.params += _verbosity_options()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example below the options."""
        if self.example:
            with formatter.section("Example"):
                for line in self.example.strip().splitlines():
                    formatter.write(f"  {line}\n")
        super().format_epilog(ctx, formatter)


class EdgeGroup(click.Group):
    """A command group that ends with the toolkit's exit codes and never with a traceback."""

    command_class = EdgeCommand

    def __init__(self, *args: Any, quick_exit: bool = False, **kwargs: Any) -> None:
        """Make a group.

        Args:
            args: As for click.
            quick_exit: Whether the process may end without taking Python apart, which costs a
                small board as much as several photos. Only for commands that leave nothing open.
            kwargs: As for click.
        """
        super().__init__(*args, **kwargs)
        self.quick_exit = quick_exit

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that has seen enough (`... | head`) is no failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0

    def main(  # type: ignore[override]  # one signature for click's two overloads
        self, args: Any = None, prog_name: Any = None, **extra: Any
    ) -> Any:
        """Run and exit the process (or return, if ``standalone_mode`` is false)."""
        if not extra.pop("standalone_mode", True):
            return super().main(args, prog_name, standalone_mode=False, **extra)
        _start_logging()
        _install_sigterm()
        code = self._run(args, prog_name, **extra)
        if self.quick_exit and args is None:  # started as a program, not by another
            code = _exit_quickly(code)
        sys.exit(code)

    def _run(self, args: Any, prog_name: Any, **extra: Any) -> int:
        arguments = sys.argv if args is None else args
        verbose = "-v" in arguments or "--verbose" in arguments
        try:
            result = super().main(args, prog_name, standalone_mode=False, **extra)
            return result if isinstance(result, int) else 0
        except click.ClickException as error:
            error.show()
            return 2
        except EdgeError as error:
            if verbose and error.__cause__ is not None:
                traceback.print_exception(error, file=sys.stderr)
            return _fail(str(error), error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            return _fail("interrupted.", EXIT_INTERRUPTED)
        except Terminated:
            return _fail("terminated.", EXIT_TERMINATED)
        except Exception as error:  # the last resort, so that nobody meets a bare traceback
            failure = system_failure(error)
            if failure is not None:
                return _fail(str(failure), failure.exit_code)
            return _unexpected(error, verbose)


def _exit_quickly(code: int) -> int:
    """End the process, with all that a normal end does for the user; return if it has to be one."""
    others = [t for t in threading.enumerate() if t is not threading.current_thread()]
    watched = sys.gettrace() or sys.getprofile() or sys.flags.inspect
    if watched or not all(thread.daemon for thread in others):
        return code
    atexit._run_exitfuncs()  # removes temporary folders, flushes logs
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # started without it
                stream.flush()
        except BrokenPipeError:
            continue
        except OSError as error:
            code = code or _fail(str(system_failure(error) or error), 6)
    os._exit(code)


class LazyCommands(MutableMapping[str, click.Command]):
    """Commands of a group by name, each imported when it is asked for.

    A command ``name`` is the object ``name`` of the module ``name`` in a package.
    """

    def __init__(self, package: str, *names: str) -> None:
        """Know the commands of a package by their names."""
        self._package = package
        self._commands: dict[str, click.Command | None] = dict.fromkeys(names)

    def __getitem__(self, name: str) -> click.Command:
        command = self._commands[name]
        if command is None:
            module = importlib.import_module(f"{self._package}.{name}")
            command = self._commands[name] = getattr(module, name)
        return command

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._commands)

    def __len__(self) -> int:
        return len(self._commands)


def _unexpected(error: Exception, verbose: bool) -> int:
    if verbose:
        traceback.print_exception(error, file=sys.stderr)
    hint = "" if verbose else " Run again with --verbose for the traceback."
    return _fail(f"unexpected {type(error).__name__}: {error}.{hint}", 1)


def _fail(message: str, code: int) -> int:
    click.echo(f"error: {message}", err=True)
    return code


def _start_logging() -> None:
    for stream in (sys.stdout, sys.stderr):  # file names need not be valid UTF-8
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    for name in LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.handlers[:] = [StderrHandler()]
    # Python's own warnings speak to developers; pytest and -W still show them.
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    _set_level(logging.INFO)


def _install_sigterm() -> None:
    def stop(*_: Any) -> None:
        raise Terminated

    with contextlib.suppress(ValueError):  # not the main thread (tests, embedding)
        signal.signal(signal.SIGTERM, stop)


def version_option(command: str) -> Any:
    """The ``--version`` option of a command group."""
    return click.version_option(__version__, prog_name=command)


def json_option(help_text: str = "Print JSON on stdout, and nothing else there.") -> Any:
    """The ``--json`` flag, as parameter ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def threads_option() -> Any:
    """The ``--threads`` option of commands that run an interpreter."""
    return click.option(
        "--threads",
        type=click.IntRange(1, 256),
        help="Interpreter threads. Default: the usable cores, at most 4.",
    )


def overwrite_option(what: str = "an existing output") -> Any:
    """The ``--overwrite`` flag."""
    return click.option("--overwrite", is_flag=True, help=f"Replace {what}.")


def print_json(data: Any, indent: int | None = None) -> None:
    """Write one JSON object to stdout; names that are not UTF-8 as surrogate escapes."""
    click.echo(json.dumps(data, indent=indent))
