"""Options that several commands share, so that they mean and read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]

Checkpoints = Annotated[
    list[str],
    typer.Argument(
        metavar="CHECKPOINT",
        help="Model files, folders, or quoted globs. A folder with encoder.keras and decoder.keras is one checkpoint.",
    ),
]
Data = Annotated[
    str,
    typer.Option(
        "--data", metavar="FOLDER|SET", help="Real images: a folder of PNG/JPEG, digits:test or digits:train."
    ),
]
ProtocolName = Annotated[
    str,
    typer.Option(
        "--protocol",
        metavar="NAME|FILE",
        help="quick (500 images a stream), standard (10,000), full (50,000), or a YAML file.",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--samples", metavar="N", min=0, help="Prior samples to decode, instead of the protocol's; 0 for none."
    ),
]
Reconstructions = Annotated[
    int | None,
    typer.Option("--reconstructions", metavar="N", min=0, help="Real images to encode and decode; 0 for none."),
]
Reference = Annotated[
    int | None, typer.Option("--reference", metavar="N", min=0, help="Real images to compare the features against.")
]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", min=0, help="Seed of all noise.")]
Seeds = Annotated[
    str | None, typer.Option("--seeds", metavar="N,N,…", help="Evaluate once per seed; each is a protocol of its own.")
]
Extractor = Annotated[str | None, typer.Option("--extractor", metavar="NAME", help="Feature network, by name.")]
Weights = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="Weights of the feature network, if not downloaded.")
]
Resize = Annotated[
    bool, typer.Option("--resize", help="Fit images of other sizes: centre crop, then bicubic resampling.")
]
SkipUnreadable = Annotated[
    bool, typer.Option("--skip-unreadable", help="Leave out image files that cannot be read, and say which.")
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY=VALUE", help="A word to find the checkpoints by, such as beta=4; repeatable."),
]
ShardSize = Annotated[
    int | None,
    typer.Option(
        "--shard-size",
        metavar="N",
        min=1,
        max=4096,
        help="Images per shard, at most 4096, in whole batches of 32: what a crash can cost. Changes no score. Default: 128.",
    ),
]
Priority = Annotated[int, typer.Option("--priority", metavar="N", help="Higher goes first.")]

Devices = Annotated[
    str,
    typer.Option(
        "--devices", metavar="LIST", help="auto (every GPU, else the CPU), cpu, or GPUs by index or UUID: 0,1."
    ),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", min=1, help="Worker processes. Default: one per device."),
]
SlotsPerDevice = Annotated[
    int | None,
    typer.Option(
        "--slots-per-device", metavar="N", min=1, help="Worker processes on each device, instead of --workers."
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, help="CPU threads of each. Default: an equal share of the cores."),
]
