"""`vaeval config`: which settings are in force, and where each comes from."""

from __future__ import annotations

from cli import rendering
from cli.options import Json


def config(as_json: Json = False) -> None:
    """Show the settings and where each comes from.

    Passwords are masked.

    \b
    Example:
      VAEVAL_DATABASE_URL=postgresql://me:secret@db/vaeval vaeval config
    """
    from scheduler.settings import VARIABLES, Settings, sources, unknown_variables

    values = Settings.from_environment().shown()
    origins = sources()
    for sentence in unknown_variables():
        rendering.note(sentence)
    if as_json:
        rows = {
            name: {"value": values[name], "source": origins[name], "meaning": VARIABLES[name]} for name in VARIABLES
        }
        rendering.document("config", {"settings": rows})
        return
    columns = [rendering.Column(title="VARIABLE"), rendering.Column(title="VALUE"), rendering.Column(title="SOURCE")]
    rendering.table(columns, [(name, values[name], origins[name]) for name in VARIABLES])
    rendering.note("Change one: export VAEVAL_…=VALUE, or put the value into a file that VAEVAL_…_FILE names.")
