"""The two errors that end a command in one line, and the first line of any other."""


class UsageError(ValueError):
    """Bad input. The message is one line: the field, the value, what is allowed. Exit code 2."""


class RunError(RuntimeError):
    """A run that cannot go on, for a cause outside the settings. The message names the remedy.

    Exit code 1.
    """


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its type where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def describe(error: Exception) -> str:
    """Return an error that nobody expected in one line, its type first."""
    return f"{type(error).__name__}: {error}".splitlines()[0]
