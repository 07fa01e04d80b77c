"""`study`: runs a command, and makes an exit code and a line of whatever ends it.

A user's mistake is one line, each of a file's is, and exit code 2. What takes long to import is
imported within main, so that Ctrl-C meanwhile is one line, too.
"""

import errno
import os
import sys

from study import __version__, output
from study.errors import RunError, UsageError

# Errors of the machine, which may come from any file at any time, and are no bug of ours.
MACHINE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE,
    errno.EMFILE, errno.ENFILE, errno.ENOMEM,
)  # fmt: skip
TRAINING = ("train", "sweep", "rerun", "agent", "sync")  # commands that go on where they stopped


def main(arguments: list[str] | None = None) -> int:
    """Run a command, and return the exit code: 0, 1 for failed runs or where what it printed was
    lost, 2 for a user's mistake."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with output.lasting() as printed:
        code = _end(arguments)
    return code or int(printed.lost)


def _end(arguments: list[str]) -> int:
    """Run a command to its end, whatever that is."""
    try:
        return _run(arguments)
    except UsageError as error:
        return output.end(error, 2)
    except RunError as error:
        return output.end(error, 1)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return output.end(f"{error.filename}: no path can be so long: give a shorter one", 2)
        if error.errno not in MACHINE:
            raise
        where = f"{error.filename}: " if error.filename else ""
        return output.end(f"{where}{error.strerror}: mend that and run the command again", 1)
    except KeyboardInterrupt:
        trains = arguments and arguments[0] in TRAINING
        how = "goes on from the last whole epoch" if trains else "begins again"
        return output.end(f"stopped; the same command {how}", 130)
    except SystemExit as stop:  # --help
        return stop.code if isinstance(stop.code, int) else 0


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"study {__version__}")
        return 0
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UsageError("the current folder is gone: change to one that exists") from None
    from study.cli import commands, parsing

    output.log_to_stderr()
    return parsing.parse(arguments, commands.COMMANDS)()


def run() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    run()
