"""The Open Inference Protocol v2: JSON and binary tensors, checked before they are run."""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from color_model import SIDE, ColorModels
from serve_parts import PATIENCE, TOKEN, Running, picture, serving, until

from edge_runtime import Classifier
from edge_runtime.serving import open_inference, outputs
from edge_runtime.serving.app import Access
from edge_runtime.serving.problems import Problem
from edge_runtime.serving.served import Loaded
from edge_runtime.serving.settings import ServeSettings
from edge_runtime.serving.tensors import Input, read_inference
from edge_runtime.web.token import Token

SHAPE = [1, SIDE, SIDE, 3]


@pytest.fixture(scope="module")
def server(color_models: ColorModels) -> Iterator[Running]:
    """float32, uint8, and an ONNX file with heat maps."""
    paths = {
        "colors": color_models.bundle,
        "small": color_models.tflite_int8,
        "maps": color_models.onnx,
    }
    with serving(paths) as running:
        yield running


def tensor_of(classifier: Classifier) -> np.ndarray:
    return classifier.backend.prepare(classifier.pixels(picture((200, 30, 60))))


def request(name: str, tensor: np.ndarray, datatype: str = "FP32", **more: Any) -> dict[str, Any]:
    one = {"name": name, "datatype": datatype, "shape": list(tensor.shape)}
    return {"inputs": [one | {"data": tensor.ravel().tolist()}], **more}


@pytest.mark.parametrize(("name", "datatype"), [("colors", "FP32"), ("small", "UINT8")])
def test_json_gives_the_scores_of_the_photo(
    server: Running, color_models: ColorModels, name: str, datatype: str
) -> None:
    path = color_models.bundle if name == "colors" else color_models.tflite_int8
    with Classifier.open(path) as classifier:
        tensor, expected = tensor_of(classifier), classifier.scores(picture((200, 30, 60)))
    body = request("image", tensor, datatype, id="one")
    for version in ("", "/versions/1"):
        answer = server.http.post(f"/v2/models/{name}{version}/infer", json=body).json()
        assert (answer["model_name"], answer["model_version"], answer["id"]) == (name, "1", "one")
        (output,) = answer["outputs"]
        assert (output["name"], output["datatype"]) == ("probabilities", "FP32")
        assert output["shape"] == [1, 3]
        np.testing.assert_array_equal(np.float32(output["data"]), expected)
    nested = body | {"inputs": [body["inputs"][0] | {"data": tensor.tolist()}]}
    again = server.http.post(f"/v2/models/{name}/infer", json=nested).json()
    assert again["outputs"] == answer["outputs"]


def binary(body: dict[str, Any], tail: bytes) -> tuple[bytes, dict[str, str]]:
    head = json.dumps(body).encode()
    return head + tail, {"inference-header-content-length": str(len(head))}


def test_binary_tensors_both_ways(server: Running, color_models: ColorModels) -> None:
    with Classifier.open(color_models.bundle) as classifier:
        one = tensor_of(classifier)
        expected = classifier.scores(picture((200, 30, 60)))
    tensor = np.concatenate([one, one, one])  # more than a run takes is several runs
    given = {"name": "image", "datatype": "FP32", "shape": list(tensor.shape)}
    given["parameters"] = {"binary_data_size": tensor.nbytes}  # type: ignore[assignment]
    body = {"inputs": [given], "parameters": {"binary_data_output": True}}
    content, headers = binary(body, tensor.tobytes())
    answer = server.http.post("/v2/models/colors/infer", content=content, headers=headers)
    assert answer.headers["content-type"] == "application/octet-stream"
    split = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.content[:split])["outputs"]
    assert output["parameters"]["binary_data_size"] == 3 * 3 * 4 and "data" not in output
    scores = np.frombuffer(answer.content[split:], "<f4").reshape(output["shape"])
    np.testing.assert_allclose(scores, [expected] * 3, atol=1e-7)


def test_classification_extension(server: Running, color_models: ColorModels) -> None:
    with Classifier.open(color_models.bundle) as classifier:
        tensor = tensor_of(classifier)
    wanted = {"name": "probabilities", "parameters": {"classification": 2}}
    body = request("image", tensor, outputs=[wanted])
    (output,) = server.http.post("/v2/models/colors/infer", json=body).json()["outputs"]
    assert (output["datatype"], output["shape"]) == ("BYTES", [1, 2])
    assert [text.split(":")[1:] for text in output["data"]] == [["0", "red"], ["2", "blue"]]


def test_heat_maps_where_the_file_has_them(server: Running, color_models: ColorModels) -> None:
    """The colour model's map of a class is the colour itself."""
    metadata = server.http.get("/v2/models/maps").json()
    with Classifier.open(color_models.onnx) as classifier:
        has_maps, name = classifier.backend.has_maps, classifier.backend.input_name
        tensor = tensor_of(classifier)
    assert [output["name"] for output in metadata["outputs"]] == (
        ["probabilities", "heatmap"] if has_maps else ["probabilities"]
    )
    assert metadata["inputs"][0]["name"] == name
    body = request(name, tensor)
    outputs = server.http.post("/v2/models/maps/infer", json=body).json()["outputs"]
    assert len(outputs) == len(metadata["outputs"])
    if has_maps:
        maps = np.array(outputs[1]["data"]).reshape(outputs[1]["shape"])
        np.testing.assert_array_less(-1e-6, maps)


def change(**more: Any) -> dict[str, Any]:
    given = {"name": "image", "datatype": "FP32", "shape": SHAPE, "data": [0.0] * SIDE * SIDE * 3}
    return {"inputs": [given | more]}


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": [1]}, "inputs"),
        (change(name="other"), "image"),
        (change(datatype="UINT8"), "FP32"),
        (change(datatype=["FP32"]), "FP32"),
        (change(shape=[1, 3, SIDE, SIDE]), "shape"),
        (change(shape=[0, SIDE, SIDE, 3]), "shape"),
        (change(shape=[10**30, SIDE, SIDE, 3]), "shape"),
        (change(shape=[True, SIDE, SIDE, 3]), "shape"),
        (change(shape=None), "shape"),
        (change(data=[0.0]), "numbers"),
        (change(data=None), "data"),
        (change(data=["x"] * SIDE * SIDE * 3), "numbers"),
        (change(data=[[1], [1, 2]]), "data"),
        (change(data=[[[[0.0] * 3] * SIDE] * SIDE, 0]), "numbers"),
        (change(data=[[[[0.0, 0.0, []]] * SIDE] * SIDE]), "nested"),
        (change(data=[[0.0] * SIDE * SIDE * 3]), "nested"),
        (change(data=[[[[0.0] * SIDE] * SIDE] * 3]), "nested"),
        (change(data=[True] * SIDE * SIDE * 3), "numbers"),
        (change(data=[10**400] + [0] * (SIDE * SIDE * 3 - 1)), "finite"),
        (change(data=[1e300] * SIDE * SIDE * 3), "finite"),
        (change(parameters={"binary_data_size": 4}), "data"),
        (change(parameters=[]), "parameters"),
        (change() | {"outputs": [{"name": "nothing"}]}, "outputs"),
        (change() | {"outputs": [{"name": "probabilities"}] * 2}, "outputs"),
        (change() | {"id": 5}, "id"),
        (change() | {"parameters": {"binary_data_output": "yes"}}, "binary_data_output"),
    ],
)
def test_tensors_that_do_not_fit(server: Running, body: dict[str, Any], word: str) -> None:
    answer = server.http.post("/v2/models/colors/infer", json=body)
    assert answer.status_code == 422, answer.text
    assert word in answer.json()["detail"]


@pytest.mark.parametrize(
    "content", [b"", b"nothing", b"[" * 20_000, b'{"inputs": [NaN]}', b"\xff", b'{"a": Infinity}']
)
def test_what_is_no_json(server: Running, content: bytes) -> None:
    answer = server.http.post("/v2/models/colors/infer", content=content)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_binary_lengths_that_lie(server: Running) -> None:
    given: dict[str, Any] = {"name": "image", "datatype": "FP32", "shape": SHAPE}
    for size, tail in ((SIDE * SIDE * 12, b"abc"), (3, b"abc"), (-1, b""), ("x", b"")):
        body = {"inputs": [given | {"parameters": {"binary_data_size": size}}]}
        content, headers = binary(body, tail)
        answer = server.http.post("/v2/models/colors/infer", content=content, headers=headers)
        assert answer.status_code == 422 and "binary_data_size" in answer.json()["detail"]
    for length in ("-1", "x", "999999"):
        headers = {"inference-header-content-length": length}
        answer = server.http.post("/v2/models/colors/infer", content=b"{}", headers=headers)
        assert answer.status_code == 400


TAKES = Input("image", np.dtype(np.float32), (None, SIDE, SIDE, 3))


def test_values_are_counted_before_an_array_is_made_of_them() -> None:
    """An array of text has room for the longest in each place: 12 MB here, of 11 kB."""
    body = bytearray(json.dumps(change(data=["a" * 1000] + [""] * (SIDE * SIDE * 3 - 1))).encode())
    tracemalloc.start()
    try:
        with pytest.raises(Problem, match="numbers"):
            read_inference(body, None, TAKES, ("probabilities",))
        assert tracemalloc.get_traced_memory()[1] < 2 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("data", ["[],", "{},", '"ab",', "1,", " " * 10])
def test_json_is_no_larger_than_its_tensor_needs(server: Running, data: str) -> None:
    """Nothing is made of what is larger."""
    head, _, tail = json.dumps(change(data=["here"])).partition('"here"')
    content = (head + data * 60_000 + "0" + tail).encode()
    answer = server.http.post("/v2/models/colors/infer", content=content)
    assert answer.status_code in (413, 422), answer.text
    many = change(shape=[256, SIDE, SIDE, 3], data=["here"])
    head, _, tail = json.dumps(many).partition('"here"')
    content = (head + data * 60_000 + "0" + tail).encode()
    tracemalloc.start()
    try:
        with pytest.raises(Problem) as found:
            read_inference(bytearray(content), None, TAKES, ("probabilities",))
        assert found.value.status in (413, 422)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(content) + (64 << 10)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["1 2,", "1,,", "1e,", "0[,", "-,", "01,", ". ,"])
def test_numbers_that_are_none(server: Running, text: str) -> None:
    """They are read in pieces, and held to the same rules."""
    head, _, tail = json.dumps(change(data=["here"])).partition('"here"')
    content = head + text + "0," * (SIDE * SIDE * 3 - text.count(",") - 1) + "0" + tail
    answer = server.http.post("/v2/models/colors/infer", content=content.encode())
    assert answer.status_code in (400, 422), answer.text


def test_json_of_many_photos_that_is_written_widely(server: Running) -> None:
    body = request("image", np.full((4, SIDE, SIDE, 3), 1 / 3, np.float64))
    nested = np.array(body["inputs"][0]["data"]).reshape(4, SIDE, SIDE, 3).tolist()
    body["inputs"][0]["data"] = nested
    content = json.dumps(body, indent=2)
    answer = server.http.post("/v2/models/colors/infer", content=content)
    assert answer.status_code == 200 and answer.json()["outputs"][0]["shape"] == [4, 3]


@pytest.mark.parametrize(
    ("now", "then"), [("[0.0, ", "0 [, "), ("0.0], [", "0.0, ] 1["), ("]]]]", "]]]] 5")]
)
def test_nested_numbers_that_are_none(server: Running, now: str, then: str) -> None:
    body = change(data=np.zeros(SHAPE).tolist())
    content = json.dumps(body).replace(now, then, 1)
    answer = server.http.post("/v2/models/colors/infer", content=content.encode())
    assert answer.status_code in (400, 422), answer.text


def test_long_answers_are_bytes(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "MAX_WRITTEN", 5)
    body = request("image", np.zeros((2, SIDE, SIDE, 3)))
    url = "/v2/models/colors/infer"
    answer = server.http.post(url, json=body)
    assert answer.status_code == 422 and "binary_data" in answer.json()["detail"]
    best = {"name": "probabilities", "parameters": {"classification": 3, "binary_data": True}}
    assert server.http.post(url, json=body | {"outputs": [best]}).status_code == 422
    wanted = {"parameters": {"binary_data_output": True}}
    assert server.http.post(url, json=body | wanted).status_code == 200


def test_answers_are_written_on_a_thread(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop goes on meanwhile."""
    names: list[str] = []
    write = open_inference.write

    def noted(*given: Any) -> outputs.Written:
        names.append(threading.current_thread().name)
        return write(*given)

    monkeypatch.setattr(open_inference, "write", noted)
    monkeypatch.setattr(outputs, "_PIECE", 2)
    body = request("image", np.zeros((3, SIDE, SIDE, 3)))
    (found,) = server.http.post("/v2/models/colors/infer", json=body).json()["outputs"]
    assert np.shape(found["data"]) == (9,) and sum(found["data"]) == pytest.approx(3)
    assert len(names) == 1 and names[0].startswith("decode")


def test_a_request_is_answered_by_one_model(
    color_models: ColorModels, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its classes are named by the one that ran, whenever another takes over."""
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"red"', '"crimson"'))
    attended = open_inference.attended
    with serving({"colors": color_models.bundle}) as running, Classifier.open(bundle) as other:
        model = running.server.models[0]
        asked: list[Classifier] = []
        run = other.backend.run

        def noted(tensor: np.ndarray) -> np.ndarray:
            asked.append(other)
            return run(tensor)

        monkeypatch.setattr(other.backend, "run", noted)

        async def exchanged(*given: Any) -> Any:
            model.use(Loaded(other, model.card))
            return await attended(*given)

        monkeypatch.setattr(open_inference, "attended", exchanged)
        tensor = tensor_of(other)
        wanted = {"name": "probabilities", "parameters": {"classification": 1}}
        body = request("image", tensor, outputs=[wanted])
        (output,) = running.http.post("/v2/models/colors/infer", json=body).json()["outputs"]
        assert output["data"][0].endswith(":crimson" if asked else ":red")


def test_the_rest_of_a_request_is_left_out_once_nobody_waits(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ServeSettings(max_batch=1, timeout=0.3)
    with serving({"colors": color_models.tflite}, settings) as running:
        model = running.server.models[0]
        backend, go, runs = model.classifier.backend, threading.Event(), []
        run = backend.run

        def held(tensor: np.ndarray) -> np.ndarray:
            runs.append(model.worker.busy_since)
            assert go.wait(PATIENCE)
            return run(tensor)

        monkeypatch.setattr(backend, "run", held)
        body = request("image", np.zeros((3, SIDE, SIDE, 3)))
        answer = running.http.post("/v2/models/colors/infer", json=body)
        assert answer.status_code == 503 and len(runs) == 1
        go.set()
        until(lambda: model.worker.busy_since is None)
        assert len(runs) == 1 and model.worker.failures == 0


def test_each_run_of_a_request_has_its_own_time(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many short runs are no interpreter that hangs."""
    model = server.server.models[0]
    backend, begun = model.classifier.backend, []
    run = backend.run

    def noted(tensor: np.ndarray) -> np.ndarray:
        begun.append(model.worker.busy_since)
        return run(tensor)

    monkeypatch.setattr(backend, "run", noted)
    monkeypatch.setattr(model.worker, "_max_batch", 1)
    body = request("image", np.zeros((3, SIDE, SIDE, 3)))
    assert server.http.post("/v2/models/colors/infer", json=body).status_code == 200
    assert len(begun) == len(set(begun)) == 3


def test_errors_are_those_of_the_protocol_too(color_models: ColorModels) -> None:
    """Whichever layer refuses; its clients read ``error``."""
    with serving({"colors": color_models.tflite}, access=Access(Token(TOKEN, "test"))) as running:
        known = {"authorization": f"Bearer {TOKEN}"}
        for path, headers, status in (
            ("/v2/models/nobody", known, 404),
            ("/v2/nothing", known, 404),
            ("/v2/models/colors/infer", known, 405),
            ("/v2", {}, 401),
        ):
            answer = running.http.get(path, headers=headers)
            found = answer.json()
            assert answer.status_code == found["status"] == status
            assert found["error"] == found["detail"] != ""
        assert "error" not in running.http.get("/v1/models/nobody", headers=known).json()


def test_bare_bytes_of_a_tensor(server: Running, color_models: ColorModels) -> None:
    """The binary extension's short form: no JSON comes, and all outputs go as bytes."""
    with Classifier.open(color_models.bundle) as classifier:
        tensor = np.concatenate([tensor_of(classifier)] * 2)
        expected = classifier.scores(picture((200, 30, 60)))
    url, headers = "/v2/models/colors/infer", {"inference-header-content-length": "0"}
    answer = server.http.post(url, content=tensor.tobytes(), headers=headers)
    split = int(answer.headers["inference-header-content-length"])
    (output,) = json.loads(answer.content[:split])["outputs"]
    assert output["shape"] == [2, 3]
    scores = np.frombuffer(answer.content[split:], "<f4").reshape(2, 3)
    np.testing.assert_allclose(scores, [expected] * 2, atol=1e-7)
    for content in (b"", tensor.tobytes()[:-1]):
        answer = server.http.post(url, content=content, headers=headers)
        assert answer.status_code == 422 and "photos" in answer.json()["detail"]


def test_health_and_metadata(server: Running) -> None:
    assert server.http.get("/v2/health/live").json() == {"live": True}
    assert server.http.get("/v2/health/ready").json() == {"ready": True}
    assert "binary_tensor_data" in server.http.get("/v2").json()["extensions"]
    assert server.http.get("/v2/models/small/versions/1/ready").json()["ready"] is True
    assert server.http.get("/v2/models/small/versions/2").status_code == 404
    assert server.http.get("/v2/models/nobody/ready").status_code == 404
    takes = server.http.get("/v2/models/small").json()["inputs"]
    assert takes == [{"name": "image", "datatype": "UINT8", "shape": [-1, SIDE, SIDE, 3]}]
