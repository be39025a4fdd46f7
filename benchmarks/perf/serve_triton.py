"""Does Triton's own client, unchanged, get the scores of ``edge-classify image``?

Run ``python -m benchmarks.perf.serve_triton MODEL --python VENV/bin/python``, where VENV has
``tritonclient[http]`` (which is no dependency of the project). Photos of the test part are
preprocessed with ``edge_runtime``; the client sends the tensors, as binary and as JSON, and asks for
binary and JSON outputs. Exit code 4 if a score differs by more than 1e-6 from what ``edge-classify
image --json`` prints, or the client finds server or model not ready.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np

from benchmarks.perf.common import (
    EXIT_CHECK_FAILED,
    json_lines,
    print_machine,
    shared_option,
    test_photos,
)  # fmt: skip
from benchmarks.perf.serve_process import serving
from edge_runtime import Classifier
from edge_runtime.files import find_photos

#: By how much a score may differ.
_TOLERANCE = 1e-6

_CLIENT = """
import json, sys
import numpy as np
import tritonclient.http as http

port, file = sys.argv[1:]
client = http.InferenceServerClient(f"127.0.0.1:{port}")
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("model")
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
takes = client.get_model_metadata("model", "1")["inputs"][0]
found = []
for tensor in np.load(file):
    for sent in (True, False):
        for got in (True, False):
            given = http.InferInput(takes["name"], list(tensor.shape), takes["datatype"])
            given.set_data_from_numpy(tensor, binary_data=sent)
            wanted = http.InferRequestedOutput("probabilities", binary_data=got)
            answer = client.infer("model", [given], outputs=[wanted], request_id="r")
            assert answer.get_response()["id"] == "r"
            found.append(answer.as_numpy("probabilities")[0].tolist())
best = http.InferRequestedOutput("probabilities", class_count=1)
given = http.InferInput(takes["name"], list(tensor.shape), takes["datatype"])
given.set_data_from_numpy(tensor)
ranked = client.infer("model", [given], outputs=[best]).as_numpy("probabilities")
print(json.dumps({"scores": found, "best": ranked.ravel()[0].decode()}))
"""


@click.command()
@click.argument("model")
@click.option("--python", "interpreter", required=True, help="Of the environment of the client.")
@click.option("--photos", "limit", default=40, show_default=True)
@shared_option()
def main(model: str, interpreter: str, limit: int, shared: Path) -> None:
    """Compare."""
    print_machine()
    photos = find_photos(test_photos(shared))[:limit]
    command = [sys.executable, "-m", "edge_runtime.cli", "image", "--json", "--model", model]
    with Classifier.open(model) as classifier, tempfile.TemporaryDirectory() as folder:
        classes = len(classifier.info.class_names)
        tensors = [classifier.backend.prepare(classifier.pixels(photo)) for photo in photos]
        file = Path(folder) / "tensors.npy"
        np.save(file, np.stack(tensors))
        expected = np.zeros((len(photos), classes))
        answers = json_lines([*command, "--top-k", str(classes), *photos])
        for row, answer in zip(expected, answers, strict=True):
            for entry in answer["top"]:
                row[entry["index"]] = entry["score"]
        with serving(f"model={model}") as server:
            done = subprocess.run(
                [interpreter, "-c", _CLIENT, str(server.port), str(file)],
                capture_output=True,
                text=True,
                check=False,
            )
    if done.returncode:
        click.echo(done.stderr)
        sys.exit(EXIT_CHECK_FAILED)
    found = json.loads(done.stdout)
    scores = np.array(found["scores"]).reshape(len(photos), -1, classes)
    largest = float(np.abs(scores - expected[:, None]).max())
    click.echo(
        f"{len(photos)} photos, each sent and answered as binary and as JSON: largest difference "
        f"{largest:.2e} (at most {_TOLERANCE:g}); classification extension: {found['best']}"
    )
    if largest > _TOLERANCE or found["best"].split(":")[2] != answers[-1]["label"]:
        sys.exit(EXIT_CHECK_FAILED)


if __name__ == "__main__":
    main()
