"""The words that say what to evaluate and how: declared once, for `run` and `submit`, and read into one `Wish`.

@takes_wish(protocol="quick")
def run(wish: Wish, devices: options.Devices = "auto", …)       help and parsing see all options, run sees the wish
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from cli import options
from cli.gathering import Wish

Command = Callable[..., None]
"""A function as Typer takes it."""


def takes_wish(*, protocol: str) -> Callable[[Command], Command]:
    """Give a command, whose first argument is a `Wish`, the arguments and options of one, before its own.

    Args:
        protocol: The protocol unless told otherwise.
    """

    def decorate(command: Command) -> Command:
        shared = dict(inspect.signature(_wish, eval_str=True).parameters)
        shared["protocol"] = shared["protocol"].replace(default=protocol)
        _, *own = inspect.signature(command, eval_str=True).parameters.values()

        # Typer calls a command with exactly the names that its signature has; here that is the signature made below.
        @functools.wraps(command)
        def with_options(**values: Any) -> None:
            wish = _wish(**{name: values.pop(name) for name in shared})
            command(wish, **values)

        parameters = [*shared.values(), *own]
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return with_options

    return decorate


def _wish(
    checkpoints: options.Checkpoints,
    data: options.Data,
    protocol: options.ProtocolName = "quick",
    samples: options.Samples = None,
    reconstructions: options.Reconstructions = None,
    reference: options.Reference = None,
    interpolations: options.Interpolations = None,
    fitted: options.Fitted = None,
    seed: options.Seed = None,
    seeds: options.Seeds = None,
    extractor: options.Extractor = None,
    weights: options.Weights = None,
    lpips_weights: options.LpipsWeights = None,
    noise_floor: options.NoiseFloor = "auto",
    resize: options.Resize = False,
    likelihood: options.LikelihoodOption = None,
    skip_unreadable: options.SkipUnreadable = False,
    tag: options.Tags = None,
    priority: options.Priority = 0,
    shard_size: options.ShardSize = None,
) -> Wish:
    return Wish(
        checkpoints=checkpoints,
        data=data,
        protocol=protocol,
        samples=samples,
        reconstructions=reconstructions,
        reference=reference,
        interpolations=interpolations,
        fitted=fitted,
        seed=seed,
        seeds=seeds,
        extractor=extractor,
        weights=weights,
        lpips_weights=lpips_weights,
        noise_floor=noise_floor,
        resize=resize,
        likelihood=likelihood,
        skip_unreadable=skip_unreadable,
        tags=tag or (),
        priority=priority,
        shard_size=shard_size,
    )
