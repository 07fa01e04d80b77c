"""What the server of workers looks up before its first fork."""

from study import forks
from study.sweep.worker import PRELOAD
from study.train import provenance


def _ask(pipe, name):
    function = getattr(provenance, name)
    pipe.send((function.cache_info().currsize, function()))


def test_forks_know_the_commit_and_the_versions_of_the_code_that_they_run():
    """By the time a run ends, the files may be those of another commit."""
    for name in ("git_commit", "versions"):
        context = forks.context(PRELOAD)
        ours, theirs = context.Pipe()
        process = context.Process(target=_ask, args=(theirs, name))
        process.start()
        known, value = ours.recv()
        process.join()
        assert known == 1 and value == getattr(provenance, name)()
