"""The same work on many things, in processes of this machine or on a cluster, through joblib."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

from edge_runtime.errors import SystemFailure, first_line, missing_package

from ..packages import import_module

_Thing = TypeVar("_Thing")

#: ``loky``: processes of this machine; the others: a cluster.
Backend = Literal["loky", "ray", "dask"]

_PURPOSE = "share the work out"


def cores() -> int:
    """Processor cores that this process may use.

    Raises:
        MissingComponent: joblib is not installed.
    """
    return int(import_module("joblib", "joblib", _PURPOSE).cpu_count())


def threads_each(jobs: int | None, backend: Backend) -> int | None:
    """Threads for each of the processes of this machine; None on a cluster, which sees to it.

    Args:
        jobs: How many there are.
        backend: Which one.
    """
    addresses = {"ray": "RAY_ADDRESS", "dask": "DASK_SCHEDULER_ADDRESS"}
    if jobs is None or (backend in addresses and addresses[backend] in os.environ):
        return None
    return max(1, cores() // jobs)


def run_all(
    work: Callable[[_Thing], None],
    things: Sequence[_Thing],
    jobs: int | None = 1,
    backend: Backend = "loky",
) -> None:
    """Do the work on everything, several at a time.

    When one fails, or Ctrl-C is pressed, the others are stopped.

    Args:
        work: A function of a module, which other processes can import.
        things: Picklable.
        jobs: At a time; with 1 and ``loky`` in this process. None: as many as the cluster has
            processors, with ``loky`` as many as there are cores.
        backend: ``ray`` uses the cluster of the variable ``RAY_ADDRESS``, ``dask`` that of
            ``DASK_SCHEDULER_ADDRESS``; without the variable one is made on this machine.

    Raises:
        MissingComponent: A package is missing.
        SystemFailure: A process died, or the cluster does not answer.
        Exception: Whatever the work raised first.
    """
    if not things or (backend == "loky" and jobs == 1):
        for thing in things:
            work(thing)
        return
    joblib = import_module("joblib", "joblib", _PURPOSE)
    contexts: dict[Backend, Callable[[int | None, int], contextlib.AbstractContextManager[int]]]
    contexts = {"loky": _loky, "ray": _ray, "dask": _dask}
    with contexts[backend](jobs, len(things)) as count:
        joblib.Parallel(n_jobs=count, batch_size=1)(joblib.delayed(work)(thing) for thing in things)


@contextlib.contextmanager
def _loky(jobs: int | None, most: int) -> Iterator[int]:
    joblib = import_module("joblib", "joblib", _PURPOSE)
    loky = import_module("joblib.externals.loky", "joblib", _PURPOSE)
    count = min(jobs or cores(), most)
    whole = False
    try:
        with joblib.parallel_config("loky", inner_max_num_threads=max(1, cores() // count)):
            yield count
        whole = True
    except (loky.BrokenProcessPool, loky.process_executor.TerminatedWorkerError) as error:
        raise SystemFailure(
            "A process of a job was killed, probably because the memory ran out. Choose fewer "
            "--jobs, a smaller --batch-size or a smaller --image-size."
        ) from error
    finally:
        # Idle ones would stay for minutes, and hold what TensorFlow holds.
        loky.get_reusable_executor().shutdown(wait=True, kill_workers=not whole)


@contextlib.contextmanager
def _ray(jobs: int | None, most: int) -> Iterator[int]:
    try:
        ray = importlib.import_module("ray")
        register = importlib.import_module("ray.util.joblib").register_ray
    except ImportError as error:
        raise missing_package("ray", "ray", _PURPOSE) from error
    joblib = import_module("joblib", "joblib", _PURPOSE)
    local = {} if "RAY_ADDRESS" in os.environ else {"num_cpus": jobs or cores()}
    mine = not ray.is_initialized()
    if mine:
        try:
            ray.init(include_dashboard=False, configure_logging=False, **local)
        except (OSError, RuntimeError, ValueError) as error:
            raise _no_cluster("ray", "RAY_ADDRESS", error) from error
    register()
    try:
        with joblib.parallel_config("ray"):
            yield min(jobs or int(ray.cluster_resources().get("CPU", 1)), most)
    finally:
        if mine:
            ray.shutdown()


@contextlib.contextmanager
def _dask(jobs: int | None, most: int) -> Iterator[int]:
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise missing_package("distributed", "dask", _PURPOSE) from error
    joblib = import_module("joblib", "joblib", _PURPOSE)
    with contextlib.ExitStack() as stack:
        if "DASK_SCHEDULER_ADDRESS" in os.environ:
            address: Any = os.environ["DASK_SCHEDULER_ADDRESS"]
        else:
            address = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=min(jobs or cores(), most),
                    threads_per_worker=1,  # a process has one Keras
                    dashboard_address=None,
                )
            )
        try:
            client = stack.enter_context(distributed.Client(address))
        except (OSError, ValueError) as error:
            raise _no_cluster("dask", "DASK_SCHEDULER_ADDRESS", error) from error
        with joblib.parallel_config("dask"):
            yield min(jobs or sum(client.nthreads().values()), most)


def _no_cluster(name: str, variable: str, error: Exception) -> SystemFailure:
    return SystemFailure(
        f"{name}: no cluster answers ({first_line(error)}). The variable {variable} names it; "
        "without the variable one is made on this machine."
    )
