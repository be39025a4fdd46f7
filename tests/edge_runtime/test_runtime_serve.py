"""edge-classify serve: photos, errors, limits, and many requests at once."""

from __future__ import annotations

import base64
import gzip
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from color_model import ColorModels
from PIL import Image
from serve_parts import PATIENCE, Running, SlowClassifier, picture, serving, talk, until

from edge_runtime import Classifier
from edge_runtime.serving.reloading import reload
from edge_runtime.serving.served import WINDOW, Loaded
from edge_runtime.serving.settings import ServeSettings

BLUE = (0, 0, 255)


@pytest.fixture(scope="module")
def server(color_models: ColorModels) -> Iterator[Running]:
    """Two models; of the second one everything is quantised."""
    with serving({"colors": color_models.bundle, "small": color_models.tflite_int8}) as running:
        yield running


def refused(answer: httpx.Response, status: int) -> str:
    """The detail of a problem (RFC 9457)."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert set(found) == {"type", "title", "status", "detail"} and found["status"] == status
    assert "/tmp" not in answer.text and "Traceback" not in answer.text
    return str(found["detail"])


def test_answers_are_those_of_the_command(server: Running, color_models: ColorModels) -> None:
    photos = [("a.png", picture()), ("b é.jpg", picture(BLUE, "JPEG")), ("c.txt", b"no photo")]
    answer = server.classify(*photos, params={"top_k": 2})
    assert answer.status_code == 200 and answer.json()["model"] == "colors"
    results = answer.json()["results"]
    with Classifier.open(color_models.bundle) as classifier:
        for (name, content), found in zip(photos[:2], results, strict=False):
            expected = classifier.classify(content, 2).to_dict()
            assert found | {"ms": None} == expected | {"ms": None, "path": name}
            assert set(found["ms"]) == {"decode", "infer", "total"}
    assert results[2]["path"] == "c.txt" and results[2]["label"] is None
    assert results[2]["error"].startswith("c.txt: ")


def test_names_of_photos_are_no_paths_of_this_machine(server: Running) -> None:
    """Nothing is looked for in them, and they come back as they are."""
    name = "/" * 3000
    found = server.classify((name, b"no photo"), ("/a/b.png", b"none")).json()["results"]
    assert found[0]["error"].startswith(f"{name}: ")
    assert found[1]["error"].startswith("/a/b.png: ")


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg", "application/octet-stream"])
def test_raw_bytes_give_one_object(server: Running, kind: str) -> None:
    """Whatever the type says, the content counts."""
    query = {"model": "small", "threshold": "1", "top_k": "1"}
    headers = {"content-type": kind}
    answer = server.http.post("/v1/classify", content=picture(), headers=headers, params=query)
    found = answer.json()
    assert found["label"] == "red" and found["unknown"] and len(found["top"]) == 1


def test_wishes_may_be_fields_of_the_form(server: Running) -> None:
    answer = server.classify(("a", picture(BLUE)), data={"top_k": "1", "model": "small"})
    assert answer.json()["model"] == "small"
    assert answer.json()["results"][0]["top"][0]["label"] == "blue"


def test_heat_maps(server: Running) -> None:
    """The colour model's map of red is the red channel: even over a photo of one colour."""
    over = server.classify(("a", picture()), params={"heatmap": "true"}).json()["results"][0]
    kind, _, data = over["heatmap"]["picture"].partition(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).width >= 48
    raw = server.classify(("a", picture()), params={"heatmap": "map"}).json()["results"][0]
    heat = raw["heatmap"]
    assert (heat["width"], heat["height"]) == (len(heat["values"][0]), len(heat["values"]))
    assert min(map(min, heat["values"])) == pytest.approx(heat["peak"], abs=1e-6)
    # 48 x 40 cropped to a square: 40 of 48 columns are seen.
    assert heat["box"] == pytest.approx([4 / 48, 0, 44 / 48, 1])
    assert heat["picture"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ("top_k=0", 422, "top_k"),
        ("top_k=x", 422, "top_k"),
        ("threshold=nan", 422, "threshold"),
        ("threshold=2", 422, "threshold"),
        ("roi=1,1,0,0", 422, "roi"),
        ("heatmap=maybe", 422, "heatmap"),
        ("colour=1", 422, "top_k"),
        ("top_k=1&top_k=2", 422, "twice"),
        ("model=nobody", 404, "colors"),
    ],
)
def test_wishes_that_cannot_be(server: Running, query: str, status: int, word: str) -> None:
    answer = server.http.post(f"/v1/classify?{query}", content=picture())
    assert word in refused(answer, status)


def test_what_is_no_request(server: Running) -> None:
    post = server.http.post
    refused(post("/v1/classify", content=b"x", headers={"content-type": "image/png"}), 422)
    refused(post("/v1/classify", content=b"", headers={"content-type": "image/png"}), 422)
    refused(post("/v1/classify", json={}), 415)
    refused(post("/v1/classify", files={"other": ("a", picture())}), 422)
    refused(server.http.get("/v1/nothing"), 404)
    assert refused(server.http.get("/v1/classify"), 405) and (
        server.http.get("/v1/classify").headers["allow"] == "POST"
    )
    refused(server.http.get("/v1/models/nobody"), 404)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n",
        b"--x--",
        b'--x\r\nContent-Disposition: form-data; name="photo"\r\n\r\nabc',
        b'--x\r\nContent-Disposition: form-data; name="photo"\r\n\r\nabc\r\n--xy',
        b"--x\r\n\r\nabc\r\n--x--",
        b"--x\r\nnonsense\r\n\r\nabc\r\n--x--",
        b"--x\r\nContent-Disposition: attachment\r\n\r\nabc\r\n--x--",
        b"--x\r\nA: " + b"y" * 5000 + b"\r\n\r\nabc\r\n--x--",
    ],
)
def test_broken_forms(server: Running, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = server.http.post("/v1/classify", content=body, headers=headers)
    refused(answer, 422 if body == b"--x--" else 400)  # an empty form is whole
    headers = {"content-type": "multipart/form-data"}
    refused(server.http.post("/v1/classify", content=body, headers=headers), 400)


def test_limits(color_models: ColorModels) -> None:
    settings = ServeSettings(max_body=4096, max_photos=2)
    with serving({"colors": color_models.tflite}, settings) as running:
        photo = ("a.png", picture())
        assert "2 photos" in refused(running.classify(photo, photo, photo), 413)
        post = running.http.post
        refused(post("/v1/classify", content=b"x" * 5000), 413)
        refused(post("/v1/classify", content=iter([b"x" * 3000, b"x" * 3000])), 413)  # chunked
        bomb = gzip.compress(bytes(1 << 20))
        refused(post("/v1/classify", content=bomb, headers={"content-encoding": "gzip"}), 415)
        many = {str(number): "" for number in range(20)}
        refused(running.classify(photo, data=many), 413)
        assert running.server.serving.metrics._budget.held == 0
        assert running.classify(photo).status_code == 200


def test_bodies_that_lie_about_their_length(server: Running) -> None:
    head = b"POST /v1/classify HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: image/png\r\n"
    short = talk(server.port, head + b"content-length: 5000\r\n\r\nabc", shut=True)
    assert not short.startswith(b"HTTP/1.1 5")
    long = talk(server.port, head + b"content-length: 3\r\n\r\nabcGET nonsense\r\n\r\n")
    assert long.startswith(b"HTTP/1.1 422")
    bad = talk(server.port, head + b"transfer-encoding: chunked\r\n\r\nzz\r\n", shut=True)
    assert not bad.startswith(b"HTTP/1.1 5")
    until(lambda: server.server.serving.metrics.in_flight == 0)
    assert server.classify(("a", picture())).status_code == 200


def test_too_many_pixels(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by the header of the photo, before memory is taken for it."""
    monkeypatch.setenv("EDGE_CLASSIFY_MAX_MEGAPIXELS", "0.001")
    found = server.classify(("big.png", picture())).json()["results"][0]
    assert "megapixels" in found["error"]


def test_full_queue_answers_503(color_models: ColorModels) -> None:
    with serving({"colors": color_models.tflite}, ServeSettings(max_queue=2)) as running:
        slow = SlowClassifier(running)
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(running.classify, ("a", picture())) for _ in range(2)]
            until(lambda: running.server.models[0].inside == 2)
            answer = running.classify(("a", picture()))
            assert "max-queue" in refused(answer, 503) and int(answer.headers["retry-after"]) >= 1
            assert running.http.get("/healthz").status_code == 200  # the event loop goes on
            slow.go.set()
            assert [one.result(PATIENCE).status_code for one in waiting] == [200, 200]
        assert running.classify(("a", picture())).status_code == 200


def test_a_form_may_name_an_idle_model_while_the_first_is_full(color_models: ColorModels) -> None:
    paths = {"colors": color_models.tflite, "small": color_models.tflite_int8}
    with serving(paths, ServeSettings(max_queue=1)) as running:
        slow, photo = SlowClassifier(running), ("a", picture())
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(running.classify, photo)
            until(lambda: running.server.models[0].inside == 1)
            assert running.classify(photo, data={"model": "small"}).status_code == 200
            assert running.classify(photo, params={"model": "small"}).status_code == 200
            refused(running.classify(photo), 503)
            refused(running.classify(photo, params={"model": "colors"}), 503)
            refused(running.http.post("/v1/classify", content=picture()), 503)
            slow.go.set()
            assert waiting.result(PATIENCE).status_code == 200


@pytest.mark.parametrize("half", ["decode", "answer"])
def test_what_is_no_exception_ends_no_thread(
    color_models: ColorModels, monkeypatch: pytest.MonkeyPatch, half: str
) -> None:
    def leave(*_: object) -> None:
        raise SystemExit(3)

    with serving({"colors": color_models.tflite}) as running:
        with monkeypatch.context() as patch:
            patch.setattr(running.server.models[0].classifier, half, leave)
            assert "SystemExit" in refused(running.classify(("a", picture())), 500)
        assert running.classify(("a", picture())).status_code == 200


def test_answer_that_takes_too_long(color_models: ColorModels) -> None:
    with serving({"colors": color_models.tflite}, ServeSettings(timeout=0.3)) as running:
        slow = SlowClassifier(running)
        assert "--timeout" in refused(running.classify(("a", picture())), 503)
        until(lambda: running.http.get("/readyz").status_code == 503)
        unready = running.http.get("/v2/models/colors/ready")
        assert unready.status_code == 503 and int(unready.headers["retry-after"]) >= 1
        slow.go.set()
        until(lambda: running.http.get("/readyz").status_code == 200)
        assert running.server.models[0].inside == 0


def test_work_of_a_client_that_left_is_dropped(color_models: ColorModels) -> None:
    with serving({"colors": color_models.tflite}) as running:
        slow = SlowClassifier(running)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(running.classify, ("a", picture()))
            assert slow.entered.wait(PATIENCE)
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(f"{running.url}/v1/classify", content=picture(), timeout=0.5)
            until(lambda: running.server.models[0].inside == 1)
            slow.go.set()
            assert first.result(PATIENCE).status_code == 200
        assert running.classify(("a", picture())).status_code == 200
        assert slow.sizes == [1, 1]  # the one that left was never run


def test_photos_that_wait_share_a_run(color_models: ColorModels) -> None:
    """Of a model that takes any number: what waits while one is answered is one run."""
    with serving({"colors": color_models.tflite}) as running:
        slow = SlowClassifier(running)
        with ThreadPoolExecutor(5) as pool:
            first = pool.submit(running.classify, ("a", picture()))
            assert slow.entered.wait(PATIENCE)
            rest = [pool.submit(running.classify, ("b", picture(BLUE))) for _ in range(4)]
            until(lambda: len(running.server.models[0].worker) == 4)
            slow.go.set()
            labels = [one.result(PATIENCE).json()["results"][0]["label"] for one in [first, *rest]]
        assert labels == ["red"] + ["blue"] * 4 and slow.sizes == [1, 4]
        assert running.metric('model_runs_total{model="colors",photos="4"}') == 1


def test_reload_without_a_lost_request(color_models: ColorModels) -> None:
    with serving({"colors": color_models.bundle}) as running:
        model, ended = running.server.models[0], threading.Event()
        found: list[int] = []

        def ask() -> None:
            with httpx.Client(timeout=PATIENCE) as client:
                while not ended.is_set():
                    answer = client.post(f"{running.url}/v1/classify", content=picture())
                    found.append(answer.status_code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        before = model.classifier
        for _ in range(3):
            count = len(found)
            assert reload(model)
            until(lambda: len(found) > count + 3)  # noqa: B023  # called at once
        ended.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert set(found) == {200} and model.classifier is not before
        running.server.reloading.ask()
        until(lambda: model.reloads["ok"] == 4)


def test_photos_of_one_request_are_of_one_model(color_models: ColorModels, bundle: Path) -> None:
    """Also of more photos than wait at once, those that begin after the exchange."""
    manifest = bundle / "manifest.json"
    with serving({"colors": color_models.bundle}) as running:
        slow = SlowClassifier(running)
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(running.classify, *[("a", picture())] * (WINDOW + 2))
            assert slow.entered.wait(PATIENCE)
            manifest.write_text(manifest.read_text().replace('"red"', '"crimson"'))
            model = running.server.models[0]
            model.use(Loaded(Classifier.open(bundle), model.card))
            slow.go.set()
            results = asked.result(PATIENCE).json()["results"]
        assert {one["label"] for one in results} == {"red"}
        found = running.classify(("a", picture())).json()["results"]
        assert found[0]["label"] == "crimson"


def test_watch_takes_a_new_file_and_keeps_the_old_one_for_a_bad_one(bundle: Path) -> None:
    with serving({"colors": bundle}, watch=0.1) as running:
        manifest = bundle / "manifest.json"
        text = manifest.read_text()
        manifest.write_text(text.replace('"red"', '"crimson"'))
        model = running.server.models[0]
        until(lambda: model.reloads["ok"] == 1)
        answer = running.classify(("a", picture())).json()
        assert answer["results"][0]["label"] == "crimson"
        manifest.write_text("nothing")
        until(lambda: model.reloads["failed"] == 1)
        assert running.classify(("a", picture())).status_code == 200


def test_the_card_is_of_the_model_that_answers(bundle: Path) -> None:
    """Also where the bundle was replaced or broken since, and where it is replaced meanwhile."""
    with serving({"colors": bundle}) as running:
        model, manifest = running.server.models[0], bundle / "manifest.json"
        text = manifest.read_text()
        manifest.write_text("nothing")
        card = running.http.get("/v1/models/colors")
        assert card.status_code == 200 and card.json()["bundle"]["artifact"] == "tflite-fp32"
        assert not reload(model)
        manifest.write_text(text.replace('"red"', '"crimson"'))
        assert running.http.get("/v1/models/colors").json()["class_names"][0] == "red"
        open_again = model.open_again

        def replaced_meanwhile() -> Classifier:
            classifier = open_again()
            manifest.write_text(text.replace('"red"', '"scarlet"'))
            return classifier

        model.open_again = replaced_meanwhile
        before = model.classifier
        assert not reload(model) and model.classifier is before
        assert reload(model)
        card = running.http.get("/v1/models/colors")
        assert card.json()["class_names"] == list(model.classifier.info.class_names)
        assert card.json()["class_names"][0] == "scarlet"


def test_models_and_metrics(server: Running) -> None:
    models = server.http.get("/v1/models").json()["models"]
    assert [(m["name"], m["classes"], m["default"]) for m in models] == [
        ("colors", 3, True), ("small", 3, False),
    ]  # fmt: skip
    card = server.http.get("/v1/models/colors").json()
    assert card["class_names"] == ["red", "green", "blue"] and card["heatmap"] is True
    assert card["tensor"] == {"name": "image", "dtype": "float32", "shape": [None, 32, 32, 3]}
    assert card["bundle"]["artifact"] == "tflite-fp32" and len(card["bundle"]["artifacts"]) == 3
    assert "/tmp" not in json.dumps(card)
    assert server.http.get("/v1/models/small").json()["bundle"] is None
    sample = 'http_requests_total{route="/v1/models/{name}",method="GET",status="200"}'
    before = server.metric(sample)
    server.http.get("/v1/models/small")
    assert server.metric(sample) == before + 1
    assert server.metric('model_queue_length{model="colors"}') == 0


def test_openapi_and_its_page(server: Running) -> None:
    """Every address that it names is there, and the page loads nothing from elsewhere."""
    document = server.http.get("/openapi.json").json()
    for path, item in document["paths"].items():
        url = path.replace("{name}", "colors").replace("{version}", "1")
        if "get" in item:
            assert server.http.get(url).status_code == 200, url
        else:
            assert server.http.get(url).status_code == 405, url
    page = server.http.get("/docs")
    assert page.status_code == 200 and "POST /v1/classify" in page.text
    assert "http://" not in page.text and "src=" not in page.text
    assert "'unsafe" not in page.headers["content-security-policy"]
