"""Several processes that train one network together, on JAX; each host runs the same command.

Every process has the whole network and feeds its share of each batch; ``keras.distribution`` adds
up the gradients. So the weights, the figures of an epoch and whatever follows from them are the
same in all of them. Process 0, the chief, alone writes the run. The others work in a temporary
folder that begins as a copy of the chief's (:func:`broadcast`), so they need not see its disk.

A process that fails ends at once (:func:`together`): JAX would let it wait for the others, who
wait for it. Their connections break then, and they end, too.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from edge_runtime.backends.full_model import import_keras
from edge_runtime.console import EXIT_INTERRUPTED, EXIT_TERMINATED, Terminated
from edge_runtime.errors import DataError, EdgeError, SystemFailure, UsageError, first_line
from edge_runtime.quiet import quiet_stdout

from .devices import is_out_of_memory, processes, take_memory_as_needed

_log = logging.getLogger("trainer")

_ADDRESSES = "KERAS_DISTRIBUTION_JOB_ADDRESSES"
_COUNT = "KERAS_DISTRIBUTION_NUM_PROCESSES"
_NUMBER = "KERAS_DISTRIBUTION_PROCESS_ID"

#: Seconds for which a process waits for the others to start. After 300 JAX aborts it.
_PATIENCE = 240

#: Bytes that are sent at once.
_PIECE = 1 << 24


@dataclass(frozen=True)
class Cluster:
    """The processes of a training."""

    address: str  #: of process 0, host:port
    count: int
    number: int  #: of this process


def read_cluster() -> Cluster:
    """What Keras's own variables say of the processes.

    Raises:
        UsageError: One is missing, or makes no sense.
    """
    text = {name: os.environ.get(name, "").strip() for name in (_ADDRESSES, _COUNT, _NUMBER)}
    addresses = text[_ADDRESSES].split(",")
    plain = all(re.fullmatch(r"[^\s:]+:\d{1,5}|\[[^\s\]]+\]:\d{1,5}", one) for one in addresses)
    count, number = (
        int(value) if re.fullmatch(r"\d{1,6}", value) else -1
        for value in (text[_COUNT], text[_NUMBER])
    )
    wrong = ""
    if not all(text.values()):
        wrong = f"{', '.join(name for name, value in text.items() if not value)} not set"
    elif not plain:
        wrong = f"{_ADDRESSES} is {text[_ADDRESSES]}"
    elif count < 1 or len(addresses) not in (1, count):
        wrong = f"{_COUNT} is {text[_COUNT]}, with {len(addresses)} addresses"
    elif not 0 <= number < count:
        wrong = f"{_NUMBER} is {text[_NUMBER]}, of {text[_COUNT]} processes"
    if wrong:
        raise UsageError(
            f"strategy multi-worker: {wrong}. Set three variables on each host, here on the first "
            f"of two: {_ADDRESSES}=192.0.2.1:12345 (of process 0; the port is free), {_COUNT}=2 "
            f"and {_NUMBER}=0 (1 on the second)."
        )
    return Cluster(addresses[0], count, number)


def is_worker() -> bool:
    """Whether the environment names this process as one that writes no run."""
    return bool(os.environ.get(_NUMBER)) and read_cluster().number > 0


def connect() -> None:
    """Connect with the other processes; to be called before JAX computes anything.

    Raises:
        UsageError: The environment does not say how.
        SystemFailure: They do not come together, or the chief's port is taken.
    """
    cluster = read_cluster()
    _log.info(
        "Process %d of %d, which come together at %s.",
        cluster.number,
        cluster.count,
        cluster.address,
    )
    import jax

    take_memory_as_needed()
    with contextlib.suppress(AttributeError):  # of older versions: it would swallow SIGTERM
        jax.config.update("jax_enable_preemption_service", False)
    where = f"process {cluster.number} of {cluster.count} at {cluster.address}"
    try:
        if cluster.number == 0:  # a port that is taken may be a segmentation fault in JAX
            socket.create_server(("", int(cluster.address.rpartition(":")[2]))).close()
        with quiet_stdout():  # Gloo counts its connections there
            _wait_for(import_keras().distribution.initialize)
            broadcast()
    except (RuntimeError, OSError, OverflowError) as error:  # a port above 65535 overflows
        raise SystemFailure(
            f"strategy multi-worker: {where} cannot connect: {first_line(error)}. See that "
            "process 0 runs there, with a port that nothing else has, and that the others reach it."
        ) from error


def _wait_for(connecting: Callable[[], None]) -> None:
    """Let Ctrl-C through, and give up in the end; JAX does neither."""
    failed: list[Exception] = []

    def attempt() -> None:
        try:
            connecting()
        except Exception as error:  # raised below
            failed.append(error)

    thread, start = threading.Thread(target=attempt, daemon=True), time.monotonic()
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.1)
            if time.monotonic() - start > _PATIENCE:
                raise TimeoutError(f"not all processes came within {_PATIENCE} seconds")
    except BaseException as error:
        _end_at_once(error)
        raise
    if failed:
        raise failed[0]


def disconnect() -> None:
    """Go on alone; every process calls it, and none waits for another from here on."""
    if processes() > 1:
        import jax

        jax.distributed.shutdown()


@contextlib.contextmanager
def together() -> Iterator[None]:
    """What all processes do; one that fails ends without waiting for the others.

    Raises:
        SystemFailure: Another process has gone.
    """
    if processes() == 1:
        yield
        return
    try:
        yield
    except BaseException as error:
        failure = _explained(error)
        _end_at_once(failure)
        if failure is error:
            raise
        raise failure from error


def _explained(error: BaseException) -> BaseException:
    if "not the same on each process" in str(error):  # JAX compares what is given to all devices
        return DataError(
            "The network differs between the processes. Give every host the same weights (the "
            "file, or the run of --from-run) under the same path, and the same packages."
        )
    if isinstance(error, EdgeError) or is_out_of_memory(error):
        return error
    # Gloo (CPU) and NCCL (GPU) carry the tensors; a status code of JAX stands in front.
    if isinstance(error, (RuntimeError, ValueError)) and re.search(
        r"^[A-Z_]+: .*(Gloo|NCCL|[Cc]onnection|[Ss]ocket)", str(error), re.DOTALL
    ):
        return SystemFailure(
            f"Another process of this training has ended; its own message says why "
            f"({first_line(error)}). Go on with --resume on every host."
        )
    return error


def _end_at_once(error: BaseException) -> None:
    """Do not wait for the others at the end of the process, once the command line told the error."""
    code = SystemFailure.exit_code if isinstance(error, TimeoutError) else 1
    if isinstance(error, EdgeError):
        code = error.exit_code
    elif isinstance(error, (KeyboardInterrupt, Terminated)):
        code = EXIT_INTERRUPTED if isinstance(error, KeyboardInterrupt) else EXIT_TERMINATED

    @atexit.register  # runs before JAX's, which waits
    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def broadcast(data: bytes = b"") -> bytes:
    """What the chief passed; what another process passes does not matter. All call it."""
    if processes() == 1:
        return data
    from jax.experimental import multihost_utils

    split = np.array(divmod(len(data), _PIECE), np.int32)
    pieces, rest = map(int, multihost_utils.broadcast_one_to_all(split))
    found = bytearray()
    for length in [_PIECE] * pieces + [rest] * (rest > 0):
        own = data[len(found) : len(found) + length].ljust(length, b"\0")
        piece = multihost_utils.broadcast_one_to_all(np.frombuffer(own, np.uint8))
        found += np.asarray(piece, np.uint8).tobytes()
    return bytes(found)


def broadcast_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """:func:`broadcast` of files by name."""
    names = json.loads(broadcast(json.dumps(list(files)).encode()))
    return {name: broadcast(files.get(name, b"")) for name in names}
