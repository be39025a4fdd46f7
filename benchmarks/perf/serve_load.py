"""What ``edge-classify serve`` does under load: throughput, latency, overload, memory.

Run ``python -m benchmarks.perf.serve_load MODEL``. The server runs in a process of its own, as do
the clients, which send the photos of the test part over connections that they keep. In turns:

1. ``--rounds`` times, ``edge-classify image`` on the folder, and eight clients with the same photos.
   The command's own time without its start (that of one photo) counts, and of the server's time the
   processor time of the clients, spread over the cores, is deducted. The median ratio of photos a
   second has to be 0.9 (``--least``).
2. One client, in turns with ``Classifier.classify`` in this process: its p95 may be 5 ms higher.
3. ``--seconds`` of eighty clients without a pause between requests: only 200 and 503 with
   Retry-After come, the median of the accepted takes at most twice that of eight clients, memory
   grows by at most 5 MB after the first quarter; a second after it eight clients get 0.9 of the rate
   of before.
4. ``--requests`` by eight clients: memory within 5 MB and handles as after the first tenth.

Exit code 4 if one of them does not hold.
"""

from __future__ import annotations

import http.client
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    print_machine,
    record,
    shared_option,
    test_photos,
)
from benchmarks.perf.serve_process import ServeProcess, serving
from edge_runtime import Classifier
from edge_runtime.files import find_photos

#: MB that memory may grow: the allocator keeps pages of the largest photos of each thread.
_GROWTH = 5.0

#: Processes that clients share: a process a client would be eighty interpreters.
_PER_PROCESS = 10


def _client(port: int, photos: list[str], until: float, count: int, first: int, queue: Any) -> None:
    """Some clients on threads: send photos until a time, or so many; tell times by status."""
    import threading

    contents = [Path(photo).read_bytes() for photo in photos]
    found: list[tuple[int, float, float]] = []
    clients = min(_PER_PROCESS, first) if count == 0 else 1

    def run(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        sent = 0
        while time.time() < until and (count == 0 or sent < count):
            content = contents[(number * 7 + sent) % len(contents)]
            start = time.perf_counter()
            headers = {"Content-Type": "image/jpeg"}
            connection.request("POST", "/v1/classify", content, headers)
            answer = connection.getresponse()
            answer.read()
            status = answer.status
            if status == 503 and answer.getheader("Retry-After") is None:
                status = 599
            found.append((status, time.perf_counter() - start, time.time()))
            sent += 1
        connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    queue.put((found, time.process_time()))


class Load:
    """What clients met.

    Attributes:
        statuses: How often each.
        accepted: Seconds of each 200.
        wall: Seconds of all.
        cpu: Processor seconds of the clients.
    """

    def __init__(
        self, port: int, photos: list[str], clients: int, seconds: float, count: int
    ) -> None:
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        until = time.time() + (seconds or 1e6)
        groups = clients if count else max(1, clients // _PER_PROCESS)
        each = count // clients if count else 0
        start = time.perf_counter()
        processes = [
            context.Process(target=_client, args=(port, photos, until, each, clients, queue))
            for _ in range(groups)
        ]
        for process in processes:
            process.start()
        told = [queue.get() for _ in processes]
        for process in processes:
            process.join()
        self.wall = time.perf_counter() - start
        self.cpu = sum(cpu for _, cpu in told)
        found = [one for some, _ in told for one in some]
        self.statuses = Counter(status for status, _, _ in found)
        self.accepted = [seconds for status, seconds, _ in found if status == 200]

    @property
    def rate(self) -> float:
        """Photos a second, with the clients' own time deducted."""
        cores = len(os.sched_getaffinity(0))
        return len(self.accepted) / float(max(self.wall - self.cpu / cores, 1e-9))


def _image_rate(model: str, photos: list[str]) -> float:
    command = [sys.executable, "-m", "edge_runtime.cli", "image", "--json", "--model", model]
    times = []
    for some in (photos[:1], photos):
        start = time.perf_counter()
        subprocess.run([*command, *some], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    return (len(photos) - 1) / (times[1] - times[0])


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1] * 1000


def _throughput(
    model: str, server: ServeProcess, photos: list[str], rounds: int, least: float
) -> float:
    ratios = []
    for _ in range(rounds):
        alone = _image_rate(model, photos)
        load = Load(server.port, photos, 8, 0, len(photos) * 3 // 8 * 8)
        ratios.append(load.rate / alone)
        click.echo(
            f"image {alone:.1f} photos a second, eight clients {load.rate:.1f} "
            f"({dict(load.statuses)}, clients' CPU {load.cpu:.1f} s of {load.wall:.1f} s)"
        )
    record("eight clients: photos a second over `edge-classify image`", ratios, least=least)
    return statistics.median(ratios)


def _latency(model: str, server: ServeProcess, photos: list[str], rounds: int) -> float:
    inside: list[float] = []
    outside: list[float] = []
    contents = [Path(photo).read_bytes() for photo in photos]
    with Classifier.open(model) as classifier:
        for _ in range(rounds):
            for content in contents:
                start = time.perf_counter()
                classifier.classify(content)
                inside.append(time.perf_counter() - start)
            outside += Load(server.port, photos, 1, 0, len(photos)).accepted
    click.echo(
        f"one client: p50 {statistics.median(outside) * 1000:.1f} ms, p95 {_p95(outside):.1f} ms; in "
        f"process {statistics.median(inside) * 1000:.1f} and {_p95(inside):.1f} ms"
    )
    return _p95(outside) - _p95(inside)


def _overload(server: ServeProcess, photos: list[str], seconds: float, rounds: int) -> bool:
    usual = Load(server.port, photos, 8, 0, len(photos) * max(1, rounds) // 8 * 8)
    first = Load(server.port, photos, 80, seconds / 4, 0)
    before = server.megabytes
    load = Load(server.port, photos, 80, seconds * 3 / 4, 0)
    grown = server.megabytes - before
    time.sleep(1)
    after = Load(server.port, photos, 8, 0, len(photos) * max(1, rounds) // 8 * 8)
    times = statistics.median(load.accepted) / statistics.median(usual.accepted)
    back = len(after.accepted) / after.wall / (len(usual.accepted) / usual.wall)
    statuses = load.statuses + first.statuses
    click.echo(
        f"eighty clients: {dict(statuses)}, accepted take {times:.2f} of the usual "
        f"{statistics.median(usual.accepted) * 1000:.1f} ms (p95 "
        f"{_p95(load.accepted):.0f} ms), memory {grown:+.1f} MB, rate afterwards {back:.2f}"
    )
    good = set(statuses) <= {200, 503} and set(after.statuses) == {200}
    return good and times <= 2 and grown <= _GROWTH and back >= 0.9


def _many(server: ServeProcess, photos: list[str], requests: int) -> bool:
    Load(server.port, photos, 8, 0, requests // 10)
    before, handles = server.megabytes, server.handles
    load = Load(server.port, photos, 8, 0, requests - requests // 10)
    time.sleep(0.5)
    grown, lost = server.megabytes - before, server.handles - handles
    click.echo(f"{requests} requests: {dict(load.statuses)}, {grown:+.1f} MB, handles {lost:+d}")
    return set(load.statuses) == {200} and grown <= _GROWTH and lost <= 0


@click.command()
@click.argument("model")
@shared_option()
@click.option("--photos", "limit", default=200, show_default=True, help="Photos of the folder.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="Of the overload.")
@click.option("--requests", default=100_000, show_default=True, help="Of the last part.")
@click.option("--least", default=0.9, show_default=True, help="Ratio of throughput.")
def main(
    model: str, shared: Path, limit: int, rounds: int, seconds: float, requests: int, least: float
) -> None:
    """Measure."""
    print_machine()
    photos = [os.fspath(photo) for photo in find_photos(test_photos(shared))][:limit]
    failed = []
    with serving(model) as server:
        Load(server.port, photos, 8, 0, len(photos) // 8 * 8)
        ratio = _throughput(model, server, photos, rounds, least)
        click.echo(f"throughput: {ratio:.3f} of edge-classify image (at least {least})")
        failed += ["throughput"] * (ratio < least)
        more = _latency(model, server, photos, rounds)
        click.echo(f"latency: p95 {more:+.2f} ms (at most 5)")
        record("one client: p95 above `Classifier.classify` in process", [more], "ms", most=5)
        failed += ["latency"] * (more > 5)
        failed += ["overload"] * (not _overload(server, photos, seconds, rounds))
        failed += ["many"] * (not _many(server, photos, requests))
    if failed:
        click.echo(f"does not hold: {', '.join(failed)}")
        sys.exit(EXIT_CHECK_FAILED)


if __name__ == "__main__":
    main()
