"""`vaeval demo`: the whole path on a machine that has nothing yet, no model and no images.

    train (a process of its own) ─► five checkpoints ─► as `vaeval run` ─► leaderboard and pictures

It keeps to a home folder of its own, with the embedded database and broker, whatever the environment says, so that it
neither needs nor touches an installation that is in use.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli import rendering
from cli.exit_codes import ExitCode
from cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scheduler.store.base import EvaluationRecord

DEFAULT_HOME = Path("vaeval-demo")
DEFAULT_IMAGES = 192
"""Images per stream, six network batches: 2,304 forward passes for five checkpoints, their noise floor and their reference,
between two and three minutes on two cores."""

PROTOCOL_TEXT = """\
# The protocol of `vaeval demo`. Checkpoints of your own are ranked with those of the demo if you use it for the same images:
#   --data digits:test --protocol {path}
samples: {images}
reconstructions: {images}
reference: {images}
extractor: {extractor}
"""


def demo(
    home: Annotated[
        Path, typer.Option("--home", metavar="FOLDER", help="Where everything goes; delete it when you are done.")
    ] = DEFAULT_HOME,
    images: Annotated[int, typer.Option("--images", metavar="N", min=2, help="Images per stream.")] = DEFAULT_IMAGES,
    workers: Annotated[int, typer.Option("--workers", metavar="N", min=1, help="Worker processes on a CPU.")] = 2,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="PNG", help="Where to draw the pictures. Default: pictures.png in --home."),
    ] = None,
    retrain: Annotated[bool, typer.Option("--retrain", help="Train again although the checkpoints are there.")] = False,
    as_json: Json = False,
) -> None:
    """Train a small VAE, evaluate it at five moments of training, rank the five and draw them.

    Needs nothing but this program: the images are the handwritten digits that scikit-learn bundles, the database is a file
    and the broker is started and stopped. Run it again and it finds everything done. Where the weights that published FID
    is defined on are here, or a server has them, it uses them; else weights that are made from a seed.

    \b
    Example:
      vaeval demo --home /data/vaeval-demo --workers 4
    """
    from cli.gathering import Wish, gather
    from cli.local_run import Crew, evaluate_here
    from cli.outcome import failures, print_failures, print_outcome
    from cli.pictures import require_png, write_contact_sheet
    from scheduler.composition import open_application
    from scheduler.settings import Settings

    picture_path = home / "pictures.png" if output is None else output
    require_png(picture_path, "--output")
    settings = Settings.from_environment({"VAEVAL_HOME": str(home)})
    with open_application(settings) as application:
        checkpoints = train(home, retrain=retrain)
        protocol_path = home / "demo.yaml"
        text = PROTOCOL_TEXT.format(path=protocol_path, images=images, extractor=choose_extractor(settings.home))
        protocol_path.write_text(text, encoding="utf-8")
        wish = Wish(checkpoints=[str(path) for path in checkpoints], data="digits:test", protocol=str(protocol_path))
        gathered = gather(wish, settings, references=application.references.imported)
        for sentence in gathered.notes:
            rendering.note(sentence)
        try:
            receipt, records = evaluate_here(application, gathered, Crew(workers=workers))
        except KeyboardInterrupt:
            rendering.note("Interrupted. What is done is kept; the same command goes on from here.")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        print_outcome(application, receipt, records, "demo", as_json=as_json)
        print_failures(records)
        if len(failures(records)) < len(records):
            write_contact_sheet(application, records, picture_path)
            rendering.note(f"Samples and reconstructions of each checkpoint, in the order of training: {picture_path}")
        _say_what_next(home, records)
        if failures(records):
            raise typer.Exit(ExitCode.SOME_FAILED)


def choose_extractor(home: Path) -> str:
    """`inception-v3-fid` if its weights are on this machine or can be had soon; says so if they are not.

    Args:
        home: Home folder of the demo, where the weights are brought. Those in the user's own are taken from there.
    """
    from cli.download_progress import download_display
    from scheduler.settings import Settings
    from vaeval_core.errors import InvalidInput
    from vaeval_core.features.canonical_choice import canonical_or_random

    try:
        own_weights = Settings.from_environment().home / "weights"
    except InvalidInput:
        own_weights = None  # the demo works whatever the environment says
    with download_display("fetching the weights of inception-v3-fid") as show:
        choice = canonical_or_random(home / "weights", own_weights, show)
    if choice.reason is not None:
        rendering.note(choice.reason)
    return choice.extractor


def train(home: Path, *, retrain: bool = False) -> tuple[Path, ...]:
    """Make the five checkpoints, unless they are there.

    Args:
        home: Home folder of the demo.
        retrain: Make them anew.

    Returns:
        Their folders, in the order of training.

    Raises:
        VaevalError: The training program failed; the end of its log says why.
    """
    from cli.demo_training import checkpoint_folders, is_trained
    from cli.local_workers import log_tail
    from vaeval_core.errors import VaevalError

    folder = home / "digits-vae"
    if is_trained(folder) and not retrain:
        rendering.note(f"The five checkpoints are there already: {folder}")
        return checkpoint_folders(folder)
    rendering.note("Training a small VAE on the training half of the bundled handwritten digits (about 20 s) …")
    log_path = home / "logs" / "training.log"
    log_path.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-P",
        "-m",
        "cli.demo_training",
        "--output",
        str(folder),
        *(["--retrain"] if retrain else []),
    ]
    with log_path.open("wb") as log:
        # No GPU: the model is so small that starting one takes longer than the training.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment
        )
    if result.returncode != 0:
        raise VaevalError(
            f"Training the VAE of the demo failed (exit code {result.returncode}).",
            received=log_tail(log_path),
            expected=f"five checkpoints in {folder}",
            next_step=f"read {log_path}, check with `vaeval doctor`, then run the same command again",
        )
    return checkpoint_folders(folder)


def _say_what_next(home: Path, records: Sequence[EvaluationRecord]) -> None:
    prefix = command_prefix(home)
    commands = (
        "leaderboard",
        f"show {next(record for record in reversed(records) if not record.is_noise_floor).evaluation_id}",
        'sql "SELECT checkpoint, step, fid, rfid FROM leaderboard ORDER BY fid"',
        "run YOUR_CHECKPOINT --data YOUR_IMAGES",
    )
    rendering.note("\n".join(["Next:", *(f"  {prefix} {command}" for command in commands)]))


def command_prefix(home: Path) -> str:
    """What to type before a command so that it finds the demo's home, from this shell as it is.

    A `make demo` has the program in a virtual environment that the shell does not know, and a variable such as
    VAEVAL_DATABASE_URL, if set, would lead elsewhere.
    """
    from scheduler.settings import sources

    script = Path(sys.executable).with_name("vaeval")
    found = shutil.which("vaeval")
    if found is not None and Path(found).resolve() == script.resolve():
        program = "vaeval"
    elif script.is_relative_to(Path.cwd()):
        program = str(script.relative_to(Path.cwd()))
    else:
        program = str(script)
    elsewhere = [
        f"-u {name}_FILE" if origin.startswith("file") else f"-u {name}"
        for name, origin in sources().items()
        if origin != "default" and name != "VAEVAL_HOME"
    ]
    unset = " ".join(["env", *elsewhere, ""]) if elsewhere else ""
    return f"{unset}VAEVAL_HOME={shlex.quote(str(home))} {shlex.quote(program)}"
