"""The options of the outputs: names, types and helps."""

from __future__ import annotations

from typing import Any

import click

#: As in :mod:`edge_runtime.stream.outputs.lines`, ``.csv_file`` and ``.messages``, which the help
#: does not load.
_PRINTED = ("frames", "events", "all")
_ROWS = ("frames", "events")
_KINDS = ("label", "source", "reload", "stop", "all")

_POSITIVE = click.FloatRange(0, min_open=True)


def _option(name: str, about: str, **rest: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    parameter = f"output_{name.lstrip('-').replace('-', '_')}"
    return (name, parameter), {"help": about, **rest}


#: Arguments of ``click.option`` for each, in the order of the help.
OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--json", "output_as_json"),
        {
            "is_flag": True,
            "help": "Print JSON objects, one a line, on stdout, and nothing else there.",
        },
    ),
    _option(
        "--print",
        "What is printed: answers of frames, changes of the steady label, or both.",
        type=click.Choice(_PRINTED),
        default="frames",
        show_default=True,
    ),
    _option("--window", "Show the frames in a window; q, Esc or closing it ends.", is_flag=True),
    _option("--heatmap", "Draw where the network looked over --window and --video.", is_flag=True),
    _option(
        "--video",
        "Write the frames with their answers: .mp4, .mkv, .avi or .webm.",
        metavar="FILE",
    ),
    _option(
        "--video-fps",
        "Pictures a second. Default: 15, of a recording its own.",
        type=click.FloatRange(0.1, 240),
        metavar="FPS",
    ),
    _option(
        "--video-codec", "Four characters that OpenCV knows it by: mp4v, avc1.", metavar="FOURCC"
    ),
    _option(
        "--video-minutes",
        "Begin a new, numbered file after so long; goes on with the numbers of earlier runs.",
        type=_POSITIVE,
        metavar="MINUTES",
    ),
    _option(
        "--video-max-mb",
        "Remove the oldest of these files when all take more.",
        type=click.FloatRange(1),
        metavar="MB",
    ),
    _option(
        "--snapshots",
        "Save the frame of each change of the label, its heat map, and JSON about it.",
        metavar="DIR",
    ),
    _option("--snapshots-max", "Keep the newest so many.", type=click.IntRange(1), metavar="N"),
    _option(
        "--snapshots-max-mb", "Keep the newest that take so much.", type=_POSITIVE, metavar="MB"
    ),
    _option("--snapshots-plain", "Without heat maps, which cost time a frame.", is_flag=True),
    _option("--csv", "Add a row a frame to a CSV file.", metavar="FILE"),
    _option("--csv-rows", "What a row is. Default: frames.", type=click.Choice(_ROWS)),
    _option(
        "--mqtt",
        "Publish state and events: mqtt[s]://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC].",
        metavar="URL",
        envvar="EDGE_CLASSIFY_MQTT",
        show_envvar=True,
    ),
    _option(
        "--mqtt-password-file",
        "File of the password. Else: EDGE_CLASSIFY_MQTT_PASSWORD.",
        metavar="FILE",
    ),
    _option("--mqtt-ca", "Certificates to trust, in PEM.", metavar="FILE"),
    _option("--mqtt-qos", "Quality of service. Default: 1.", type=click.Choice(("0", "1", "2"))),
    _option(
        "--mqtt-results",
        "Publish an answer of a frame, too, once in so many seconds.",
        type=_POSITIVE,
        metavar="SECONDS",
    ),
    _option("--mqtt-discovery", "Make it appear in Home Assistant.", is_flag=True),
    _option(
        "--mqtt-discovery-prefix",
        "Where Home Assistant listens. Default: homeassistant.",
        metavar="TOPIC",
    ),
    _option(
        "--webhook",
        "POST events as JSON. EDGE_CLASSIFY_WEBHOOK_SECRET signs them.",
        metavar="URL",
        envvar="EDGE_CLASSIFY_WEBHOOK",
        show_envvar=True,
    ),
    _option(
        "--webhook-timeout", "For one attempt. Default: 15.", type=_POSITIVE, metavar="SECONDS"
    ),
    _option(
        "--exec",
        "Run a command for events, the JSON on its standard input; no shell.",
        metavar="COMMAND",
    ),
    _option(
        "--exec-timeout", "Kill it after so long. Default: 10.", type=_POSITIVE, metavar="SECONDS"
    ),
    _option(
        "--tell",
        "Which events --webhook and --exec are told of; several times for several. Default: label.",
        type=click.Choice(_KINDS),
        multiple=True,
    ),
    _option(
        "--metrics",
        "Serve figures for Prometheus; on 127.0.0.1 unless a host is named.",
        metavar="[HOST:]PORT",
    ),
    _option("--overwrite", "Replace what is in the files of --video and --csv.", is_flag=True),
)
