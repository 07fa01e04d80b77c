"""The user's own module, which STUDY_IMPORT names, and the backbones of timm beside it."""

import functools
import importlib
import os
import sys

from study.errors import UsageError, describe


@functools.cache
def load() -> None:
    """Import the module that STUDY_IMPORT names, once, so that it can register models with timm.

    The current folder is searched last. Only the environment names it, so that neither a sweep
    file nor a server can have code imported.

    Raises:
        UsageError: it cannot be imported.
    """
    name = os.environ.get("STUDY_IMPORT")
    if not name:
        return
    if os.getcwd() not in sys.path:  # Python adds it for `python -m study`, not for `study`
        sys.path.append(os.getcwd())
    try:
        importlib.import_module(name)
    except Exception as error:
        raise UsageError(
            f"STUDY_IMPORT={name}: cannot be imported ({describe(error)}); it names a Python module"
            " in the current folder or installed"
        ) from error


@functools.cache
def backbone_names() -> tuple[str, ...]:
    """The names of timm's backbones. Its import takes seconds, so it waits until one is needed."""
    import timm

    load()
    return tuple(timm.list_models())
