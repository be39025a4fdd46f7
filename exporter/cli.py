"""``edge-export``: turn a run of ``edge-train`` into files that run on a device.

Run ``edge-export bundle runs/groceries --out bundle``.
"""

from __future__ import annotations

import click

from edge_runtime.console import (
    EdgeGroup,
    json_option,
    overwrite_option,
    print_json,
    version_option,
)
from edge_runtime.files import refuse_existing

from .formats.registry import ALL, DEFAULT_FORMATS, FORMATS
from .options import (
    DEFAULT_AGREEMENT,
    DEFAULT_MAX_DROP,
    DEFAULT_OPSET,
    DEFAULT_PHOTOS,
    INT8_IO,
    OPSETS,
    ExportOptions,
    parse_batch,
    parse_drop,
)


@click.group(cls=EdgeGroup)
@version_option("edge-export")
def cli() -> None:
    """Turn a trained run into files that run on a device, and prove that they answer alike."""


@cli.command(
    example="edge-export bundle runs/groceries --out bundle --formats tflite-fp32,tflite-int8"
)
@click.argument("run", metavar="RUN")
@click.option(
    "--out",
    required=True,
    metavar="FOLDER|FILE.zip",
    help="Bundle to write; with the suffix .zip it is one file, and no folder is written.",
)
@click.option("--zip", "zipped", is_flag=True, help="Write FOLDER.zip beside FOLDER, too.")
@click.option(
    "--serving",
    metavar="DIR",
    help="Also write models for servers: DIR/triton (NVIDIA Triton; the ONNX formats of the "
    "bundle, else onnx-fp32) and DIR/tf_serving (TensorFlow Serving), with a dynamic batch.",
)
@click.option(
    "--formats",
    multiple=True,
    metavar="FORMAT,...",
    help=f"Formats, with commas or repeated; {ALL} for all of them: {', '.join(FORMATS)}. "
    f"Default: all but {', '.join(name for name in FORMATS if name not in DEFAULT_FORMATS)}.",
)
@click.option(
    "--accept",
    multiple=True,
    metavar="FORMAT",
    help="Keep this float format in the bundle even if it differs too much. Repeatable.",
)
@click.option(
    "--batch",
    default="1",
    show_default=True,
    metavar="N|dynamic",
    help="Photos that a file takes at once.",
)
@click.option(
    "--logits", is_flag=True, help="End the files in front of the softmax; the output is `logits`."
)
@click.option(
    "--opset",
    type=click.IntRange(*OPSETS),
    default=DEFAULT_OPSET,
    show_default=True,
    help="ONNX operator set.",
)
@click.option(
    "--int8-io",
    type=click.Choice(INT8_IO),
    default=INT8_IO[0],
    show_default=True,
    help="Input and output of tflite-int8.",
)
@click.option(
    "--max-drop",
    default=f"{DEFAULT_MAX_DROP:g}",
    show_default=True,
    metavar="POINTS|none",
    help="Percentage points of accuracy that tflite-int8 may lose; layers that cost more stay in "
    "float. `none`: plain int8, whatever it loses.",
)
@click.option(
    "--min-agreement",
    type=click.FloatRange(0, 1),
    default=DEFAULT_AGREEMENT,
    show_default=True,
    help="Share of photos on which tflite-int8 must answer as the network does.",
)
@click.option(
    "--calibration-photos",
    type=click.IntRange(1),
    default=DEFAULT_PHOTOS,
    show_default=True,
    help="Training photos that the quantised formats are calibrated on.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of their drawing."
)
@click.option(
    "--data",
    metavar="DIR",
    help="Where the run's photos are now, if they were moved; they are known by their contents.",
)
@click.option("--license", metavar="TEXT", help="Of the model; each file carries it.")
@overwrite_option("an existing bundle, and what --zip and --serving wrote, as a whole")
@json_option()
def bundle(
    run: str,
    out: str,
    zipped: bool,
    serving: str | None,
    formats: tuple[str, ...],
    accept: tuple[str, ...],
    batch: str,
    logits: bool,
    opset: int,
    int8_io: str,
    max_drop: str,
    min_agreement: float,
    calibration_photos: int,
    seed: int,
    data: str | None,
    license: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Convert RUN to several formats and compare each with the Keras model.

    The comparison runs on the run's own validation photos, from their original files. A float
    format that differs too much stays out of the bundle, and the exit code is 4. An int8 format
    is written with its true figures, whatever they are.
    """
    from .package import export_bundle
    from .report import ExportReport, NothingPassed, print_table

    def show(report: ExportReport) -> None:
        if as_json:
            print_json(report.to_dict(), indent=2)
        else:
            print_table(report)

    options = ExportOptions(
        batch=parse_batch(batch),
        logits=logits,
        opset=opset,
        int8_io=int8_io,
        max_drop=parse_drop(max_drop),
        min_agreement=min_agreement,
        calibration_photos=calibration_photos,
        seed=seed,
        license=license,
    )
    try:
        report = export_bundle(
            run,
            out,
            formats,
            accept,
            options=options,
            data=data,
            overwrite=overwrite,
            zipped=zipped,
            serving=serving,
        )
    except NothingPassed as error:
        show(error.report)
        raise
    show(report)
    report.check()


@cli.command(example="edge-export verify bundle --data photos/")
@click.argument("bundle", metavar="BUNDLE")
@click.option(
    "--data",
    metavar="DIR",
    help="Folder with the photos that the run was made from. Default: the golden photos alone.",
)
@click.option("--out", metavar="FILE", help="Page to write, like the bundle's parity.html.")
@overwrite_option("an existing page")
@json_option()
def verify(bundle: str, data: str | None, out: str | None, overwrite: bool, as_json: bool) -> None:
    """Repeat the proof of BUNDLE, a folder or a zip file, on this machine.

    Every file is run on the validation photos, which are looked up below DIR by their content, and
    compared with the Keras model's answers that the bundle holds; neither TensorFlow nor Keras is
    needed, but for the SavedModel. A file that the bundle calls good and that is not ends with
    exit code 4; a figure that changed within its threshold is reported. Other photos in class
    folders below DIR give accuracy figures.
    """
    from .report import check_table
    from .verify import print_verification, verify_bundle, write_verification

    if not as_json:
        check_table()  # before the long work
    if out is not None:
        from .page import check_page

        refuse_existing(out, overwrite)
        check_page()
    found = verify_bundle(bundle, data)
    if out is not None:
        write_verification(found, out, overwrite)
    if as_json:
        print_json(found.to_dict(), indent=2)
    else:
        print_verification(found)
    found.check()


if __name__ == "__main__":
    cli()
