"""What the documentation says, held against the program: settings, exit codes, metrics, commands, options, links, tests."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from cli.exit_codes import ExitCode
from cli.main import program
from scheduler.settings import VARIABLES
from vaeval_core.checkpoints.sidecar import CheckpointSettings
from vaeval_core.features.catalogue import EXTRACTOR_NAMES
from vaeval_core.features.weights_catalogue import PUBLISHED_NAMES
from vaeval_core.images.array_file import ARRAY_SUFFIXES
from vaeval_core.metrics.catalogue import METRICS
from vaeval_core.presets import DEFAULT_EXTRACTOR, PRESETS, ProtocolRequest
from vaeval_core.shard_plan import DEFAULT_SHARD_SIZE

PROJECT = Path(__file__).parents[2]
PAGES = (PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").glob("*.md")))

CODE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE_CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
TEST = re.compile(r"\b(tests/[\w/]+\.py)(?:::(\w+))?")
VARIABLE = re.compile(r"\bVAEVAL_[A-Z_]*[A-Z]\b")


MONITORING = ("scheduler/monitoring.py", "workers/slot_monitoring.py")
FAMILY = re.compile(r'(Counter|Gauge|Histogram|gauge|answered)(?:MetricFamily)?\(\s*"(vaeval_\w+)"')


def page_name(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def table(page: str, heading: str) -> list[list[str]]:
    """Cells of the first table below a heading, without its header; code marks are taken off."""
    text = "\n" + (PROJECT / page).read_text(encoding="utf-8")
    lines = text.partition(f"\n{heading}\n")[2].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def commands(group: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*prefix, name))
        else:
            yield (*prefix, name), command


COMMANDS = dict(commands(program()))
GROUPS = {path[:1] for path in COMMANDS if len(path) > 1}


def calls(text: str) -> Iterator[list[str]]:
    """Every call of `vaeval` in code blocks and inline code: its words, up to a pipe, a redirection or a comment."""
    blocks = CODE.findall(text)
    snippets = [line for block in blocks for line in block.splitlines()] + INLINE_CODE.findall(CODE.sub("", text))
    for snippet in snippets:
        for part in re.split(r"\|\||&&", snippet.removeprefix("$ ")):
            try:
                words = shlex.split(part, comments=True)
            except ValueError:
                continue  # no shell line
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            if words and Path(words[0]).name == "vaeval" and len(words) > 1:
                ends = [number for number, word in enumerate(words) if word.startswith(("|", ">", "<"))]
                yield words[1 : min(ends, default=len(words))]


def faults_of_call(words: list[str]) -> list[str]:
    """What is wrong with a documented call; nothing if the program takes it."""
    path = tuple(words[:2]) if tuple(words[:1]) in GROUPS else tuple(words[:1])
    if path[0].startswith("-"):
        return []
    if path[0] in {"COMMAND", "…"}:
        return []
    if path in GROUPS:
        return []
    if path not in COMMANDS:
        return [f"no command {' '.join(path)}"]
    known = {option for parameter in COMMANDS[path].params for option in parameter.opts} | {"--help", "-h"}
    used = {word.partition("=")[0] for word in words[len(path) :] if re.match(r"--[a-z]", word)}
    return [f"{' '.join(path)} has no option {option}" for option in sorted(used - known)]


# --- the rules see what they are for ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "faults"),
    [
        ("run a --data b --workers 2 --json", []),
        ("run a --dta b", ["run has no option --dta"]),
        ("db upgrade", []),
        ("db downgrade", ["no command db downgrade"]),
        ("rum a", ["no command rum"]),
        ("--version", []),
    ],
)
def test_a_wrong_call_is_seen(call: str, faults: list[str]) -> None:
    assert faults_of_call(call.split()) == faults


def test_calls_are_found_in_code_blocks_and_in_sentences() -> None:
    text = "```\n$ A=1 vaeval run x --data y | jq .\nmake demo\n```\nTry `vaeval db upgrade`, or `.venv/bin/vaeval show 5`."
    assert list(calls(text)) == [["run", "x", "--data", "y"], ["db", "upgrade"], ["show", "5"]]


# --- pages against program --------------------------------------------------------------------------------------------


def test_the_settings_table_is_the_settings() -> None:
    rows = table("docs/operations.md", "## Settings")
    assert dict(rows) == VARIABLES
    assert [name for name, _ in rows] == list(VARIABLES)


def test_the_monitoring_table_has_every_metric_and_no_other() -> None:
    rows = table("docs/operations.md", "## Monitoring")
    documented = {name for row in rows for name in re.findall(r"vaeval_\w+", row[0])}
    sources = "".join((PROJECT / path).read_text(encoding="utf-8") for path in MONITORING)
    # Prometheus itself adds the ending to the name of a counter.
    told = {name + ("_total" if kind == "Counter" else "") for kind, name in FAMILY.findall(sources)}
    assert documented == told


def test_the_exit_codes_table_is_the_exit_codes() -> None:
    rows = table("docs/operations.md", "## Exit codes")
    assert [int(code) for code, _ in rows] == [int(code) for code in ExitCode]


def test_the_metrics_table_is_the_catalogue_and_each_metric_has_a_section() -> None:
    rows = table("docs/metrics.md", "# Metrics")
    assert [
        (metric.name, str(metric.version), metric.title, metric.unit, metric.direction) for metric in METRICS.values()
    ] == [tuple(row) for row in rows]
    text = (PROJECT / "docs/metrics.md").read_text(encoding="utf-8")
    for name in METRICS:
        section = text.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert "**Range" in section, name
        assert "**Needs**" in section, name
        assert "ource**" in section, name
        assert "**Trap**" in section, name


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_call_in_a_page_is_one_that_the_program_takes(path: Path) -> None:
    found = [(" ".join(call), faults_of_call(call)) for call in calls(path.read_text(encoding="utf-8"))]
    assert [(call, faults) for call, faults in found if faults] == []


def test_the_readme_shows_the_main_commands() -> None:
    shown = {call[0] for call in calls((PROJECT / "README.md").read_text(encoding="utf-8"))}
    assert {"run", "submit", "worker", "leaderboard", "sql", "db"} <= shown


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_variable_in_a_page_is_a_setting(path: Path) -> None:
    named = {name.removesuffix("_FILE") for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}
    assert named <= set(VARIABLES)


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_link_of_a_page_leads_somewhere(path: Path) -> None:
    targets = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if not link.startswith("http")]
    broken = []
    for target in targets:
        file, _, anchor = target.partition("#")
        page = path if not file else path.parent / file
        if not page.exists() or (anchor and anchor not in anchors(page)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_test_that_a_page_names_exists(path: Path) -> None:
    missing = []
    for file, name in TEST.findall(path.read_text(encoding="utf-8")):
        source = PROJECT / file
        if not source.is_file() or (name and name not in functions_of(source)):
            missing.append(f"{file}::{name}")
    assert missing == []


def test_each_known_mistake_of_published_code_has_a_test_of_its_own() -> None:
    named = [test for _, test in table("docs/metrics.md", "## Known mistakes")]
    assert len(named) == len(set(named)) == 13
    assert all(TEST.fullmatch(test) and "::" in test for test in named)


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("path", sorted(COMMANDS), ids=" ".join)
def test_every_command_has_help_and_every_option_too(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help
    assert [parameter.name for parameter in command.params if not getattr(parameter, "help", None)] == []


MEANS_NOTHING_WHEN_ABSENT = {"--answers", "--fingerprint", "--pictures", "--seeds", "--sheet", "--tag"}


@pytest.mark.parametrize("path", sorted(COMMANDS), ids=" ".join)
def test_every_option_with_a_value_tells_its_form_and_its_default(path: tuple[str, ...]) -> None:
    options = [option for option in COMMANDS[path].params if option.param_type_name == "option" and not option.is_flag]
    assert [option.opts[0] for option in options if option.metavar is None] == []
    silent = [option.opts[0] for option in options if option.default is None and not option.required]
    untold = [option.opts[0] for option in options if "default: " not in option.help.lower()]
    assert set(silent) & set(untold) <= MEANS_NOTHING_WHEN_ABSENT


def test_the_help_of_options_has_every_name_and_number_that_the_program_has() -> None:
    options = {option.opts[0]: option.help for option in COMMANDS[("run",)].params}
    for name in EXTRACTOR_NAMES:
        assert f"{name}," in options["--extractor"]
    assert f"Default: {DEFAULT_EXTRACTOR}," in options["--extractor"]
    for name, preset in PRESETS.items():
        assert re.search(rf"\b{name} \({preset.samples:,}\b", options["--protocol"])
    for suffix in ARRAY_SUFFIXES:
        assert suffix in options["--data"]
    assert f"Default: {DEFAULT_SHARD_SIZE}." in options["--shard-size"]
    weights = next(option.help for option in COMMANDS[("weights", "fetch")].params if option.metavar == "NAME")
    for name in PUBLISHED_NAMES:
        assert name in weights


@pytest.mark.parametrize("path", sorted(COMMANDS), ids=" ".join)
def test_the_examples_in_the_help_of_a_command_are_calls_that_it_takes(path: tuple[str, ...]) -> None:
    lines = [line.strip() for line in (COMMANDS[path].help or "").splitlines()]
    examples = "\n".join(f"`{line}`" for line in lines if re.match(r"([A-Z_]+=\S+ )*vaeval ", line) and "`" not in line)
    assert [(call, faults_of_call(call)) for call in calls(examples) if faults_of_call(call)] == []


def test_every_command_is_in_the_readme_or_the_operations_page() -> None:
    text = "".join((PROJECT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/operations.md"))
    mentioned = {" ".join(call) for call in calls(text)}
    missing = [path for path in COMMANDS if not any(call.split()[: len(path)] == list(path) for call in mentioned)]
    assert missing == []


@pytest.mark.parametrize(
    ("heading", "model"),
    [("## A protocol", ProtocolRequest), ("## vaeval.yaml beside a checkpoint", CheckpointSettings)],
)
def test_the_page_on_files_names_every_field_and_its_examples_are_accepted(
    heading: str, model: type[BaseModel]
) -> None:
    assert [row[0] for row in table("docs/files.md", heading)] == list(model.model_fields)
    text = (PROJECT / "docs" / "files.md").read_text(encoding="utf-8").partition(heading)[2]
    example = CODE.search(text)
    assert example is not None
    assert model.model_validate(yaml.safe_load(example[1])).model_fields_set


def test_the_page_on_files_gives_the_defaults_of_a_protocol() -> None:
    stated = {row[0]: row[2] for row in table("docs/files.md", "## A protocol")}
    defaults = ProtocolRequest().model_dump()
    plain = {name for name, default in defaults.items() if default is not None and name != "name"}
    assert {name: stated[name] for name in plain} == {name: str(defaults[name]).lower() for name in plain}
