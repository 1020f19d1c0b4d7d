"""What `vaeval doctor` looks at on this machine: Python, folders, disks, devices, TensorFlow, weights.

A check changes nothing that lasts and never raises for what it is there to find.
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.finding import Check, Verdict
from vaeval_core.errors import VaevalError

if TYPE_CHECKING:
    from scheduler.settings import Settings

OLDEST_PYTHON = (3, 11)
LITTLE_SPACE = 2 * 10**9
NO_SPACE = 10**8
TENSORFLOW_SECONDS = 60.0

NETWORK_FILE_SYSTEMS = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "smb3", "smbfs"}
)

TENSORFLOW_PROBE = """
import json, time
started = time.perf_counter()
import tensorflow, keras
gpus = len(tensorflow.config.list_physical_devices("GPU"))
seconds = time.perf_counter() - started
print(json.dumps({"tensorflow": tensorflow.__version__, "keras": keras.__version__,
                  "backend": keras.backend.backend(), "gpus": gpus, "seconds": seconds}))
"""


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Whether this Python is new enough."""
    shown = ".".join(map(str, version))
    if version >= OLDEST_PYTHON:
        return Check(
            name="python", verdict="ok", finding=f"Python {shown} on {platform.system()} {platform.machine()}."
        )
    return Check(
        name="python",
        verdict="fail",
        finding=f"Python {shown} is too old; {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed.",
        next_step="make PYTHON=/path/to/a/newer/python install",
    )


def check_home(home: Path) -> Check:
    """Whether the home folder, or the place where it is going to be made, can be written."""
    place = nearest_existing(home)
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"vaeval")
    except OSError as error:
        return Check(
            name="home",
            verdict="fail",
            finding=f"{place} cannot be written ({error.strerror}).",
            next_step="set VAEVAL_HOME to a folder of your own",
        )
    known = "is there and writable" if home.is_dir() else "is made when it is first needed"
    return Check(name="home", verdict="ok", finding=f"{home} {known}.")


def check_space(folders: Sequence[Path], *, free_bytes: int | None = None) -> Check:
    """Whether the fullest of the file systems that take files has room.

    Args:
        folders: Folders that are written to; they need not exist.
        free_bytes: Instead of asking the file systems.
    """
    free = {folder: free_bytes or shutil.disk_usage(nearest_existing(folder)).free for folder in folders}
    fullest = min(free, key=lambda folder: free[folder])
    finding = f"{free[fullest] / 1e9:,.1f} GB free at {fullest}."
    if free[fullest] >= LITTLE_SPACE:
        return Check(name="disk", verdict="ok", finding=finding)
    verdict: Verdict = "warn" if free[fullest] >= NO_SPACE else "fail"
    return Check(
        name="disk", verdict=verdict, finding=finding, next_step="free some space, or set VAEVAL_ARTIFACTS elsewhere"
    )


def check_sqlite_place(settings: Settings, mounts: str | None = None) -> Check:
    """Whether a SQLite file lies where its locks and its write-ahead log work.

    Args:
        settings: Where the database is.
        mounts: Text of /proc/mounts; None to read it.
    """
    if not settings.is_sqlite:
        return Check(name="sqlite", verdict="ok", finding="Not used: the database is a server.")
    place = nearest_existing(Path(settings.database_url.partition(":///")[2])).resolve()
    if mounts is None:
        table = Path("/proc/mounts")
        mounts = table.read_text(encoding="utf-8", errors="replace") if table.is_file() else ""
    kind = file_system_of(place, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        return Check(
            name="sqlite",
            verdict="fail",
            finding=f"The database would lie on a network file system ({kind} at {place}), where SQLite can lose data.",
            next_step="set VAEVAL_HOME to a local disk, or VAEVAL_DATABASE_URL=postgresql://… for several machines",
        )
    if kind is not None and kind.startswith("fuse"):
        return Check(
            name="sqlite",
            verdict="warn",
            finding=f"The database would lie on {kind} at {place}, which may be a network file system.",
            next_step="set VAEVAL_HOME to a local disk if it is one",
        )
    return Check(name="sqlite", verdict="ok", finding=f"The database lies on {kind or 'an unnamed file system'}.")


def check_devices(gpus: Sequence[str], tensorflow: dict[str, Any] | None) -> Check:
    """Whether the GPUs of this machine can be used.

    Args:
        gpus: Names from the driver.
        tensorflow: What the probe of TensorFlow said; None if it failed.
    """
    if not gpus:
        return Check(name="devices", verdict="ok", finding=f"No NVIDIA GPU; {os.cpu_count()} CPU cores do the work.")
    finding = f"{len(gpus)} × {gpus[0]}" if len(set(gpus)) == 1 else ", ".join(gpus)
    if tensorflow is not None and tensorflow["gpus"] < len(gpus):
        return Check(
            name="devices",
            verdict="warn",
            finding=f"{finding}, of which TensorFlow sees {tensorflow['gpus']}.",
            next_step="pip install 'vaeval[gpu]', or unset CUDA_VISIBLE_DEVICES",
        )
    return Check(name="devices", verdict="ok", finding=f"{finding}.")


def check_tensorflow(probe: subprocess.Popen[str]) -> tuple[Check, dict[str, Any] | None]:
    """Whether TensorFlow and Keras can be imported, from a probe that was started earlier; and what it said."""
    try:
        output, problem = probe.communicate(timeout=TENSORFLOW_SECONDS)
    except subprocess.TimeoutExpired:
        probe.kill()
        probe.communicate()
        return Check(
            name="tensorflow",
            verdict="warn",
            finding=f"TensorFlow was not imported within {TENSORFLOW_SECONDS:g} s.",
            next_step="try again when the machine is less busy",
        ), None
    if probe.returncode != 0:
        last = problem.strip().splitlines()[-1:] or [f"exit code {probe.returncode}"]
        return Check(
            name="tensorflow",
            verdict="fail",
            finding=f"TensorFlow and Keras cannot be imported: {last[0]}",
            next_step="install vaeval again: pip install --force-reinstall vaeval",
        ), None
    said: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    finding = "TensorFlow {tensorflow}, Keras {keras} on {backend}, imported in {seconds:.1f} s.".format(**said)
    return Check(name="tensorflow", verdict="ok", finding=finding), said


def start_tensorflow_probe() -> subprocess.Popen[str]:
    """Import TensorFlow in a process of its own, while other checks run."""
    return subprocess.Popen(
        [sys.executable, "-c", TENSORFLOW_PROBE],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def check_weights(weights_folder: Path) -> Check:
    """Where the weights of the feature networks are."""
    from vaeval_core.features.weights_catalogue import list_weights

    try:
        entries = list_weights(weights_folder)
    except VaevalError as error:
        return Check.failed("weights", error)
    found = sorted({entry.name for entry in entries if entry.status == "verified"})
    absent = [entry.name for entry in entries if entry.status == "absent" and entry.urls]
    parts = [f"In {weights_folder}: {', '.join(found) or 'none'}"]
    parts += [f"Not there, and fetched when first used: {', '.join(absent)}"] if absent else []
    return Check(
        name="weights",
        verdict="ok",
        finding=". ".join(parts) + ". Other extractors need no file.",
        next_step=f"vaeval weights fetch {absent[0]}" if absent else None,
    )


def gpu_names() -> tuple[str, ...]:
    """Names of the GPUs according to the NVIDIA driver; none where there is no driver."""
    if importlib.util.find_spec("pynvml") is None:
        return ()
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return tuple(str(pynvml.nvmlDeviceGetName(handle)) for handle in handles)
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def nearest_existing(path: Path) -> Path:
    """The path, or the first folder above it that exists."""
    absolute = path.expanduser().absolute()
    return next(place for place in (absolute, *absolute.parents) if place.is_dir())


def file_system_of(path: Path, mounts: str) -> str | None:
    r"""The kind of file system that a path lies on.

    Args:
        path: Absolute, without links.
        mounts: Text of /proc/mounts: device, mount point with \040 for a space, kind, …; a later line covers an earlier.

    >>> file_system_of(Path("/data/runs/x"), "a / ext4 rw 0 0\nb /data nfs4 rw 0 0\nc /data/runs/y xfs rw 0 0")
    'nfs4'
    """
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), fields[1]))
        if path.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), fields[2])
    return None if best is None else best[1]
