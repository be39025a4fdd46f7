"""The published schema: it is what the types say, and what reads results keeps to it."""

from __future__ import annotations

import copy
import json

import pytest
from sample_results import sample_result, sample_row

from benchmarks.loading import read_result
from benchmarks.schema import derive, faults, published
from edge_runtime.errors import DataError, UsageError

jsonschema = pytest.importorskip("jsonschema")


def test_published_schema_is_what_the_types_ask_for():
    assert published() == derive(), "write it again: python -m benchmarks.schema"


def test_schema_is_one_of_draft_2020_12():
    jsonschema.Draft202012Validator.check_schema(published())
    assert published()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_comments_are_its_descriptions():
    defined = published()["$defs"]
    assert "MLPerf" in defined["Latency"]["description"]
    assert defined["Accuracy"]["properties"]["ci"]["description"] == "Wilson's"


def test_optional_keys_are_few():
    rounds = published()["$defs"]["Round"]
    assert set(rounds["properties"]) - set(rounds["required"]) == {"p90_ms"}
    assert set(published()["required"]) == set(published()["properties"])


def test_sample_keeps_to_it():
    jsonschema.validate(sample_result(), published())
    assert list(faults(sample_result())) == []


def spoilt(*path, value=None, remove=False):
    made = copy.deepcopy(sample_result())
    place = made
    for step in path[:-1]:
        place = place[step]
    if remove:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return made


SPOILT = {
    "latency.p50_ms: expected number": spoilt("rows", 0, "latency", "p50_ms", value="7"),
    "rows[0].status: expected": spoilt("rows", 0, "status", value="fine"),
    "rows[0].latency": spoilt("rows", 0, "latency", "histogram", remove=True),
    "p50_ci_ms: expected 2 values": spoilt("rows", 0, "latency", "p50_ci_ms", value=[1.0]),
    "the result: conditions is missing": spoilt("conditions", remove=True),
    "rows[1].reasons[0]: expected string": spoilt("rows", 1, "reasons", value=[3]),
    "rows[0].artifact.bytes: expected integer": spoilt("rows", 0, "artifact", "bytes", value=1.5),
    "expected boolean": spoilt("rows", 0, "artifact", "parity_passed", value=1),
    "rows: expected array": spoilt("rows", value={}),
    "rows[0]: expected object": spoilt("rows", 0, value=None),
    "rows[0].engine.threads: expected": spoilt("rows", 0, "engine", "threads", value=True),
}


@pytest.mark.parametrize("fault", SPOILT)
def test_spoilt_results_are_refused_as_the_library_refuses_them(fault, tmp_path):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(SPOILT[fault], published())
    file = tmp_path / "spoilt.json"
    file.write_text(json.dumps(SPOILT[fault]))
    with pytest.raises(DataError) as caught:
        read_result(file)
    assert fault.split(": ")[-1] in str(caught.value), str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")


def test_more_keys_are_no_fault():
    made = spoilt("rows", 0, "invented", value=1) | {"invented": {}}
    jsonschema.validate(made, published())
    assert list(faults(made)) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not JSON"),
        ("[]", "not a result of edge-bench"),
        ('{"rows": []}', "not a result of edge-bench"),
        ('{"schema_version": 1, "rows": []}', "Measure again with this version"),
        ('{"schema_version": 3, "rows": []}', "Use the version of edge-bench that wrote it"),
        ('{"schema_version": 2, "rows": [NaN]}', "NaN is no number"),
        ("[" * 100_000, "not JSON"),
        ("\xff\x00", "not JSON"),
    ],
)
def test_files_that_are_none(content, words, tmp_path):
    file = tmp_path / "result.json"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=words):
        read_result(file)


def test_row_that_is_there_twice(tmp_path):
    file = tmp_path / "result.json"
    file.write_text(json.dumps(sample_result(sample_row(), sample_row())))
    with pytest.raises(DataError, match="is in it twice"):
        read_result(file)


def test_no_file(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_result(tmp_path / "absent.json")
    with pytest.raises(UsageError, match="is a folder"):
        read_result(tmp_path)
