"""The documents: commands that run, links that lead somewhere, examples that are Python."""

import ast
import contextlib
import functools
import importlib
import importlib.util
import inspect
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from wandb.cli.cli import cli as wandb_cli

from study.cli.commands import COMMANDS
from study.cli.parsing import parse
from study.config import FIELDS
from study.errors import UsageError
from study.sweep import spec
from tests.benchmarks import train as train_benchmark
from tests.conftest import ROOT

EXTENDING = ROOT / "docs/extending.md"
DOCUMENTS = (
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "sweeps/results/README.md",
    ROOT / "tests/benchmarks/README.md",
)
MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = set(re.findall(r"\b([A-Z_]+)(?: \?=|=)|\$\(([A-Z_]+)\)", MAKEFILE))
VARIABLES = {name for pair in VARIABLES for name in pair}
PROGRAMS = {"git", "cd", "export", "md5sum", "source"}  # what a reader has
PROSE = re.compile(r"(study|make|wandb|python -m|bash|\.venv/bin/\w+) \S")  # inline code: a command
PLACEHOLDER = re.compile(r"\b(FILE|NAME|RUN|[A-Z])\b")

every_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)


class Block(NamedTuple):
    """A block of code; an indented one is of shell commands."""

    language: str
    text: str


def split(text: str) -> tuple[str, list[Block]]:
    """Separate a Markdown text into its prose and its blocks of code."""
    prose, blocks, code, language, blank = [], [], [], "", True
    for line in [*text.splitlines(), ""]:
        indented = line.startswith("    ") and (blank or code) and not language
        if line.strip().startswith("```"):
            if language:
                blocks.append(Block(language, "\n".join(code)))
                code, language = [], ""
            else:
                language = line.strip().strip("`") or "text"
        elif language or indented:
            code.append(line if language else line.strip())
        else:
            if code:
                blocks.append(Block("sh", "\n".join(code)))
                code = []
            prose.append(line)
        blank = not line.strip()
    return "\n".join(prose), blocks


def inline_code(prose: str) -> list[str]:
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


def commands(document: Path) -> Iterator[list[str]]:
    """The commands of a document as words: those of blocks, and those in its sentences."""
    prose, blocks = split(document.read_text())
    lines = [line for block in blocks if block.language == "sh" for line in block.text.splitlines()]
    for line in [*lines, *(code for code in inline_code(prose) if PROSE.match(code))]:
        for command in re.split(r" && ", line):
            if words := shlex.split(command, comments=True):
                yield words


def check_command(words: list[str], settings: bool = True) -> None:
    """Fail where a command would be refused. settings: those of `--set` must be allowed too."""
    while re.match(r"[A-Z_]+=", words[0]):  # the command's environment
        words = words[1:]
    program, arguments = words[0].removeprefix(".venv/bin/"), words[1:]
    if program == "study":
        check_study(arguments, settings)
    elif program == "make":
        check_make(arguments)
    elif program == "wandb":
        check_wandb(arguments)
    elif program in ("python", "python3") and arguments[0] == "-m":
        check_module(*arguments[1:])
    elif program in ("python", "bash"):
        assert (ROOT / arguments[0]).is_file(), f"{arguments[0]}: no such script"
    else:
        assert program in PROGRAMS, f"{program}: which program is that?"


def check_study(arguments: list[str], settings: bool) -> None:
    if len(arguments) == 1:  # the name of a command, in a sentence
        assert arguments[0] in {*COMMANDS, "--help"}, arguments
        return
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            bound = parse([PLACEHOLDER.sub("1", word) for word in arguments], COMMANDS)
    except SystemExit as stop:
        assert not stop.code and arguments[-1] == "--help"
        return
    if arguments[0] == "sweep" and settings:
        file = ROOT / bound.keywords["file"]
        if file.parent.is_relative_to(ROOT / "sweeps") and "1" not in file.stem:
            spec.read(file, bound.keywords["set"])


def check_make(arguments: list[str]) -> None:
    for word in arguments:
        name, equals, _ = word.partition("=")
        assert name in (VARIABLES if equals else TARGETS), f"make {word}"


def check_wandb(arguments: list[str]) -> None:
    name, *rest = arguments
    context = click.Context(wandb_cli)
    command = wandb_cli.get_command(context, name)
    assert command, f"wandb {name}"
    if rest:
        command.make_parser(context).parse_args(list(rest))


def check_module(name: str, *arguments: str) -> None:
    assert importlib.util.find_spec(name), name
    if name == train_benchmark.__name__:
        parse(["train", *arguments], {**COMMANDS, "train": train_benchmark.main})
    elif name in ("pip", "venv"):
        pass
    elif name == "pytest":
        assert all((ROOT / word).exists() for word in arguments if word.startswith("tests/"))
    else:
        assert not arguments


@every_document
def test_every_command_is_one_that_runs(document):
    for words in commands(document):
        try:
            check_command(words, settings=document != EXTENDING)  # whose errands are not done here
        except (AssertionError, UsageError, click.ClickException) as error:
            pytest.fail(f"{shlex.join(words)}: {error}")


@pytest.mark.parametrize(
    "line",
    [
        "study swep FILE",
        "study sweep sweeps/quickstart.yaml --worker 4",
        "study sweep sweeps/quickstart.yaml --set epoch=5",
        "study sweep sweeps/quickstrat.yaml",
        ".venv/bin/study train --norm bach",
        "make stduy",
        "make study SWEP=sweeps/quickstart.yaml",
        "wandb swep FILE",
        "wandb sync --evrything runs",
        "python -m tests.benchmarks.trian",
        "python -m tests.benchmarks.train --way loop",
        "python -m pytest tests/test_dcos.py",
        "bash tests/benchmarks/gpus.sh",
        "sudo make study",
    ],
)
def test_a_command_that_does_not_run_is_found(line):
    with pytest.raises((AssertionError, UsageError, click.ClickException)):
        check_command(shlex.split(line))


@functools.cache
def known_options() -> set[str]:
    """The options of all our commands, by their help."""
    text = io.StringIO()
    for name in COMMANDS:
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            parse([name, "--help"], COMMANDS)
    return set(re.findall(r"--[\w-]+", text.getvalue()))


@every_document
def test_options_and_files_named_in_sentences_exist(document):
    for code in inline_code(split(document.read_text())[0]):
        if option := re.match(r"--[\w-]+", code):
            assert option[0] in known_options(), code
        if re.fullmatch(r"(study|tests|sweeps|docs)/[\w./*-]+", code):
            assert list(ROOT.glob(code.rstrip("/"))), code


@every_document
def test_every_sweep_file_exists(document):
    for path in re.findall(r"sweeps/[\w/]+\.yaml", document.read_text()):
        assert "NAME" in path or (ROOT / path).exists(), path


def headings(document: Path) -> set[str]:
    """The anchors of a document."""
    titles = re.findall(r"^#+ (.*)$", split(document.read_text())[0], re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@every_document
def test_every_link_leads_somewhere(document):
    prose, _ = split(document.read_text())
    for path, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", prose):
        target = document.parent / path if path else document
        assert target.exists(), path
        assert not anchor or anchor in headings(target), f"{path}#{anchor}"


class Example(NamedTuple):
    """A block of Python. file: what its first line says it goes into; "" where it says nothing."""

    file: str
    new: bool
    tree: ast.Module


def examples(document: Path) -> list[Example]:
    found = []
    for block in split(document.read_text())[1]:
        if block.language == "python":
            named = re.match(r"# (study/[\w/]+\.py)( \(new\))?", block.text)
            file, new = named.groups() if named else ("", None)
            found.append(Example(file, bool(new), ast.parse(block.text)))
    return found


def run_imports(tree: ast.Module, new: set[str]) -> dict[str, Any]:
    """What an example's imports bind, those in functions too; but for modules that it makes."""
    names: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            made = {f"{node.module}.{alias.name}" for alias in node.names} & new
            if made or node.module in new:
                continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            exec(compile(ast.Module([node], []), "an example", "exec"), names)
    return names


def check_calls(tree: ast.Module, names: dict[str, Any]) -> None:
    """Fail where a function is called with arguments that it does not take."""
    for call in [node for node in ast.walk(tree) if isinstance(node, ast.Call)]:
        words = ast.unparse(call.func).split(".")
        if not all(word.isidentifier() for word in words):
            continue
        spread = any(isinstance(word, ast.Starred) for word in call.args)
        keywords = {word.arg: None for word in call.keywords}
        if words[0] not in names or spread or None in keywords:
            continue
        function = functools.reduce(getattr, words[1:], names[words[0]])
        with contextlib.suppress(ValueError):  # a builtin's signature is not known
            inspect.signature(function).bind(*call.args, **keywords)


@every_document
def test_every_example_is_python_that_fits_the_code(document):
    found = examples(document)
    new = {e.file.removesuffix(".py").replace("/", ".") for e in found if e.new}
    for example in found:
        if example.file:
            # Whoever has followed the document has the new ones.
            assert example.new or (ROOT / example.file).exists(), example.file
        check_calls(example.tree, run_imports(example.tree, new))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("from study.train import lop", ImportError),
        ("from study.train import loop\nloop.train(1, folder_=2)", TypeError),
        ("from study import runs\nruns.raed('x')", AttributeError),
    ],
)
def test_an_example_that_does_not_fit_is_found(text, error):
    tree = ast.parse(text)
    with pytest.raises(error):
        check_calls(tree, run_imports(tree, set()))


@every_document
def test_every_sweep_in_a_document_is_one(document, tmp_path):
    for block in split(document.read_text())[1]:
        if block.language == "yaml" and "method:" in block.text:
            file = tmp_path / "mine.yaml"
            file.write_text(block.text)
            assert spec.read(file).configs


def test_the_readme_names_every_environment_variable():
    read = {
        name
        for path in (ROOT / "study").glob("**/*.py")
        for name in re.findall(r'"(STUDY_[A-Z_]+)"', path.read_text())
    }
    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"^\| `(STUDY_[A-Z_]+)` \|", readme, re.MULTILINE)) == read


def test_the_table_of_augmentations_names_all():
    _, _, section = (ROOT / "docs/sweeps.md").read_text().partition("## Augmentation")
    named = re.findall(r"^\| `(\w+)` \|", section.partition("\n## ")[0], re.MULTILINE)
    assert tuple(named[1:]) == FIELDS["augment"].choices  # below the table's head, `augment`


def test_the_readmes_map_is_of_this_code():
    _, _, section = (ROOT / "README.md").read_text().partition("## The code")
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    named = {name.rstrip("/") for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    assert all((ROOT / "study" / name).exists() for name in named)
    folders = {path.parent.name for path in (ROOT / "study").glob("*/__init__.py")}
    assert folders <= named
