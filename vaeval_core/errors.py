"""Everything that can go wrong, as sentences for a person.

Every error of vaeval answers four questions: what happened, what was received, what was expected, what to do next.
The command line prints the four parts one a line and picks the exit code by class; a notebook sees them as one text.

    VaevalError
    ├── InvalidInput            the caller gave something that cannot be used
    │   ├── CheckpointRejected  a file that is no usable VAE
    │   │   └── CheckpointChanged   not the one that was submitted ¹
    │   ├── ImagesRejected      images that cannot be read or do not fit
    │   │   └── ImagesChanged       not those that were submitted ¹
    │   ├── ExtractorDiffers    this program computes other features than the protocol asks for ¹
    │   ├── MetricsDiffer       this program computes other metrics than the protocol asks for ¹
    │   └── TooFewImages        a statistic needs more images than there are
    ├── NotFound                a path, an evaluation, a protocol that does not exist
    ├── WeightsUnavailable      extractor weights are neither here nor to be had ¹
    ├── DeviceUnusable          a GPU is there, or said to be, and cannot be used ¹
    ├── StorageFailed           a file could not be written or read
    │   └── FileLost            a stored file is gone or came back altered: make it again
    ├── ServiceUnreachable      database or broker does not answer
    ├── SchemaMismatch          the database is of another revision than this program
    ├── MustStop                whoever watches over a computation wants it to end
    └── WaitTimedOut            waiting ended before the work did

¹ also `ThisMachineCannot`: on another machine it may be as it should.
"""

from __future__ import annotations


class VaevalError(Exception):
    """Base of all errors that vaeval raises on purpose.

    Args:
        what: What happened, one sentence with its full stop.
        received: What was given, as the user would recognise it; None if there is nothing to show.
        expected: What would have been accepted.
        next_step: What to do now, preferably a command.
    """

    def __init__(
        self,
        what: str,
        *,
        received: object | None = None,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.what = what
        self.received = None if received is None else str(received)
        self.expected = expected
        self.next_step = next_step
        super().__init__(what, received, expected, next_step)

    def parts(self) -> dict[str, str]:
        """The parts that are known, in reading order, for tables and JSON."""
        named = {
            "what": self.what,
            "received": self.received,
            "expected": self.expected,
            "next": self.next_step,
        }
        return {name: text for name, text in named.items() if text is not None}

    def labelled_parts(self) -> list[tuple[str, str]]:
        """The same as every program of vaeval prints them, each part after its label."""
        parts = self.parts()
        first = ("error: ", parts.pop("what"))
        return [first, *((f"  {name + ':':<10} ", text) for name, text in parts.items())]

    def __str__(self) -> str:
        labels = {"received": "Received", "expected": "Expected", "next": "Next"}
        parts = self.parts()
        return " ".join([parts.pop("what"), *(f"{labels[name]}: {text}" for name, text in parts.items())])

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (_rebuild, (type(self), self.what, self.received, self.expected, self.next_step))


def _rebuild(
    kind: type[VaevalError], what: str, received: str | None, expected: str | None, next_step: str | None
) -> VaevalError:
    """Undo `VaevalError.__reduce__`: keyword-only arguments survive the trip between processes."""
    return kind(what, received=received, expected=expected, next_step=next_step)


class ThisMachineCannot(VaevalError):
    """What is needed is not as it should be on this machine; on another it may be. Never raised as such."""


class InvalidInput(VaevalError):
    """The caller gave something that cannot be used."""


class CheckpointRejected(InvalidInput):
    """A checkpoint is there but is no VAE that can be evaluated."""


class CheckpointChanged(CheckpointRejected, ThisMachineCannot):
    """What lies at the checkpoint's path, here, is not what was submitted."""


class ImagesRejected(InvalidInput):
    """Images cannot be read, or do not fit the checkpoint."""


class ImagesChanged(ImagesRejected, ThisMachineCannot):
    """What lies at the images' path, here, is not what was submitted."""


class ExtractorDiffers(InvalidInput, ThisMachineCannot):
    """The program of this machine computes other features than the protocol asks for, or none of that name."""


class MetricsDiffer(InvalidInput, ThisMachineCannot):
    """The program of this machine does not know a metric of the protocol, or another version of it."""


class TooFewImages(InvalidInput):
    """A statistic needs more images than it was given."""


class NotFound(VaevalError):
    """Something named by the caller does not exist."""


class WeightsUnavailable(ThisMachineCannot):
    """The weights of a feature extractor are neither on this machine nor to be had."""


class DeviceUnusable(ThisMachineCannot):
    """A GPU that is to be computed on is not there for the library that is to use it."""


class StorageFailed(VaevalError):
    """A file could not be written or read; another time, or on another machine, it may."""


class FileLost(StorageFailed):
    """A stored file is gone, or is not what was written: trying again does not help, making it again does."""


class ServiceUnreachable(VaevalError):
    """The database or the broker does not answer."""


class SchemaMismatch(VaevalError):
    """The database has another revision than this program."""


class MustStop(VaevalError):
    """Whoever watches over a computation wants it to end: nothing is wrong with it. Raised by callbacks."""


class WaitTimedOut(VaevalError):
    """The time given for waiting is over; the work goes on."""


def unreadable_here(path: object, reason: Exception | str) -> StorageFailed:
    """The error of a worker that cannot read what was readable when it was submitted.

    Images and checkpoints are checked at submit time, so in a worker an error of the operating system says something about
    that machine (a share that is not mounted, a disk that fails) and nothing about the input: the shard is tried again,
    perhaps by another worker, where input that cannot be used would fail the evaluation at once.

    Args:
        path: What cannot be read.
        reason: What the operating system says.
    """
    words = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
    return StorageFailed(
        "This machine cannot read what was submitted.",
        received=f"{path} ({words})",
        expected="the same files at the same path on every machine with a worker",
        next_step="see that the folder is mounted on the worker's machine and may be read by its user, then submit again",
    )
