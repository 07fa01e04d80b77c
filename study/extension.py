"""The user's own module, which STUDY_IMPORT names, and the backbones of timm beside it."""

import functools
import importlib
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable

from study.architectures import ARCHITECTURES
from study.errors import UsageError, describe

HOME = "it names a Python module in the current folder or installed, without .py"


@functools.cache
def load() -> None:
    """Import the module that STUDY_IMPORT names, once, so that it can register models with timm.

    The current folder is searched last. Only the environment names it, so that neither a sweep
    file nor a server can have code imported.

    Raises:
        UsageError: it cannot be imported, or gives a model the name of another.
    """
    name = os.environ.get("STUDY_IMPORT")
    if not name:
        return
    before = _entrypoints()
    if os.getcwd() not in sys.path:  # Python adds it for `python -m study`, not for `study`
        sys.path.append(os.getcwd())
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a script that ends the process when it is imported
        missing = isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}.")
        why = f"{describe(error)}); {HOME}" if missing else f"{locate(error)})"
        raise UsageError(f"STUDY_IMPORT={name}: cannot be imported ({why}") from error
    taken = [
        model
        for model, builder in _entrypoints().items()
        if before.get(model, builder) is not builder
        or (model in ARCHITECTURES and builder.__module__ != "study.train.backbones")
    ]
    if taken:
        del sys.modules[name]  # else the next call finds it imported, and nothing wrong
        raise UsageError(
            f"STUDY_IMPORT={name}: registers {', '.join(taken)}, the name of another network; give"
            " yours a name of its own"
        )


def _entrypoints() -> dict[str, Callable]:
    """What builds each model that timm knows, by name."""
    from timm.models import list_models, model_entrypoint

    return {name: model_entrypoint(name) for name in list_models()}


def locate(error: BaseException) -> str:
    """Describe an error in one line, with where it was raised in code that is not installed: the
    user's."""
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    installed = (*map(sysconfig.get_path, kinds), os.path.dirname(__file__))
    own = [
        f"{os.path.basename(frame.filename)} line {frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if os.path.isfile(frame.filename) and not frame.filename.startswith(installed)
    ]
    return f"{describe(error)}, {own[-1]}" if own else describe(error)


@functools.cache
def backbone_names() -> tuple[str, ...]:
    """The names of timm's backbones. Its import takes seconds, so it waits until one is needed."""
    import timm

    load()
    return tuple(timm.list_models())
