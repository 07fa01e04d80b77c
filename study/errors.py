"""The two errors that end a command in one line, and one line for any other error."""


class UsageError(ValueError):
    """Bad input. The message is one line: the field, the value, what is allowed. Exit code 2."""


class RunError(RuntimeError):
    """A run that cannot go on, for a cause outside the settings. The message names the remedy.

    Exit code 1.
    """


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type where the message is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def describe(error: Exception) -> str:
    """Return an unexpected error in one line: its type, then its message's first line."""
    name, line = type(error).__name__, first_line(error)
    return name if line == name else f"{name}: {line}"
