"""`vaeval run`: everything on this machine, from checkpoints to a leaderboard, with no server set up by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli import options, rendering
from cli.exit_codes import ExitCode
from cli.gathering import Wish
from cli.wish_options import takes_wish


@takes_wish(protocol="quick")
def run(
    wish: Wish,
    devices: options.Devices = "auto",
    workers: options.Workers = None,
    threads: options.Threads = None,
    inline: Annotated[
        bool,
        typer.Option("--inline", help="One worker process and no broker, on the first device: for debugging."),
    ] = False,
    pictures: Annotated[
        Path | None,
        typer.Option(
            "--pictures", metavar="PNG", help="Also draw samples and reconstructions of each checkpoint into this file."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Evaluate checkpoints here and now, and rank them.

    Starts workers on this machine (and a broker, unless VAEVAL_BROKER_URL names one), waits for these evaluations, prints
    the leaderboard. Run it again after an interruption: it goes on where it was; what is finished is not computed again.

    The protocol is `quick` unless told otherwise: 500 images find bugs; --protocol standard ranks checkpoints.

    \b
    Examples:
      vaeval run runs/beta4 --data photos/
      vaeval run 'runs/*/step-*/' --data digits:test --workers 2 --json
      vaeval run runs/beta4 --data photos/ --samples 2000 --tag beta=4
    """
    from cli.gathering import gather
    from cli.local_run import Crew, evaluate_here
    from cli.outcome import failures, print_failures, print_outcome
    from cli.pictures import require_png, write_contact_sheet
    from scheduler.composition import open_application
    from scheduler.settings import Settings

    if pictures is not None:
        require_png(pictures)
    settings = Settings.from_environment()
    crew = Crew(devices=devices, workers=workers, threads=threads, inline=inline)
    with open_application(settings) as application:
        gathered = gather(wish, settings, references=application.references.imported)
        for sentence in gathered.notes:
            rendering.note(sentence)
        try:
            receipt, records = evaluate_here(application, gathered, crew)
        except KeyboardInterrupt:
            rendering.note("Interrupted. What is done is kept; the same command goes on from here.")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        if pictures is not None:
            write_contact_sheet(application, records, pictures)
        print_outcome(application, receipt, records, "run", as_json=as_json)
        print_failures(records)
        if pictures is not None:
            rendering.note(f"Pictures: {pictures}")
        rendering.note(f"Next: vaeval show {records[0].evaluation_id} --pictures FOLDER · vaeval leaderboard")
        if failures(records):
            raise typer.Exit(ExitCode.SOME_FAILED)
