"""Options that several commands share, so that they mean and read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

CommonFingerprint = Annotated[
    str | None,
    typer.Option(
        "--fingerprint",
        metavar="PREFIX",
        help="Only the protocol whose fingerprint begins so. Default: the common one.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]

Checkpoints = Annotated[
    list[str],
    typer.Argument(
        metavar="CHECKPOINT",
        help="Model files (.keras, .safetensors), folders of them, or quoted globs. A folder with encoder.keras and"
        " decoder.keras is one checkpoint.",
    ),
]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="FOLDER|FILE|SET",
        help="Real images: a folder of PNG or JPEG, a .npy, .npz, .h5 or .hdf5 file, digits:test, digits:train or shapes.",
    ),
]
ProtocolName = Annotated[
    str,
    typer.Option(
        "--protocol",
        metavar="NAME|FILE",
        help="quick (500 images a stream), standard (10,000), full (50,000), textbook (10,000, a textbook's list of"
        " metrics), tokenizer (0 samples, 50,000 reconstructions), or a YAML file.",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option("--samples", metavar="N", min=0, help="Prior samples to decode; 0 for none. Default: the protocol's."),
]
Reconstructions = Annotated[
    int | None,
    typer.Option(
        "--reconstructions",
        metavar="N",
        min=0,
        help="Real images to encode and decode; 0 for none. Default: the protocol's.",
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="N|NAME",
        help="Real images to compare the features against, or the name of imported statistics (vaeval reference list)."
        " Default: the protocol's number of images.",
    ),
]
NoiseFloor = Annotated[
    str,
    typer.Option(
        "--noise-floor",
        metavar="auto|off|SET",
        help="Real images that are scored as if they were samples, to see how low is low. auto: those of --data that the"
        " reference does not hold, if they are enough; SET: others, as for --data.",
    ),
]
Interpolations = Annotated[
    int | None,
    typer.Option(
        "--interpolations",
        metavar="N",
        min=0,
        help="Points between encoded images to decode, not more than reconstructions; 0 for none. Default: the protocol's.",
    ),
]
Fitted = Annotated[
    int | None,
    typer.Option(
        "--fitted",
        metavar="N",
        min=0,
        help="Draws to decode from a mixture fitted to encoded images; 0 for none. Default: the protocol's.",
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, help="Seed of all noise. Default: the protocol's.")
]
Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds", metavar="N,N,…", help="Instead of --seed: evaluate once per seed; each is a protocol of its own."
    ),
]
Extractor = Annotated[
    str | None,
    typer.Option(
        "--extractor",
        metavar="NAME",
        help="Feature network: inception-v3-fid, inception-v3-random, inception-v3-keras, pixels-8x8, or one that an"
        " installed package brings. Default: inception-v3-random, unless a protocol file names another.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Weights of the feature network. Default: those in VAEVAL_HOME, fetched if they are not there.",
    ),
]
LpipsWeights = Annotated[
    Path | None,
    typer.Option(
        "--lpips-weights",
        metavar="FILE",
        help="Score reconstructions by LPIPS too, with these weights; see `vaeval weights list`. Default: no LPIPS.",
    ),
]
Resize = Annotated[
    bool,
    typer.Option(
        "--resize",
        help="Fit images to the size of the model: centre crop, then bicubic resampling. Default: refuse other sizes.",
    ),
]
LikelihoodOption = Annotated[
    str | None,
    typer.Option(
        "--likelihood",
        metavar="KIND",
        help="What the decoder's means are means of: bernoulli, gaussian:0.025 (σ in intensities of [0, 1]) or none."
        " Default: what vaeval.yaml beside each checkpoint says, if anything.",
    ),
]
SkipUnreadable = Annotated[
    bool,
    typer.Option(
        "--skip-unreadable",
        help="Leave out image files and checkpoints that cannot be used, and say which. Default: refuse them all.",
    ),
]
Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag",
        metavar="KEY=VALUE",
        help="Kept with the checkpoints, such as beta=4: in show, --json, CSV and SQL; repeatable.",
    ),
]
ShardSize = Annotated[
    int | None,
    typer.Option(
        "--shard-size",
        metavar="N",
        min=1,
        max=4096,
        help="Images per shard, in whole batches of 32: what a crash can cost. Changes no score. Default: 128.",
    ),
]
Priority = Annotated[int, typer.Option("--priority", metavar="N", help="Higher goes first; may be below zero.")]

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
        "--slots-per-device",
        metavar="N",
        min=1,
        help="Worker processes on each device, instead of --workers. Default: 1.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, help="CPU threads of each. Default: an equal share of the cores."),
]
