import pytest

from study.errors import UsageError
from study.runs import WANDB, Run
from study.tracking import marks


def test_the_address_of_a_run(tiny_run, tmp_path):
    url = {"url": "https://wandb.ai/team/runs/runs/abc"}
    pulled = Run(tmp_path, tiny_run.config, [], url)
    assert marks.address(pulled) == "team/runs/abc" and marks.wandb_id(pulled) == "abc"
    spaced = {"url": "https://wandb.ai/team/norm%20study/runs/abc"}
    assert marks.address(Run(tmp_path, tiny_run.config, [], spaced)) == "team/norm study/abc"
    none = Run(tmp_path, tiny_run.config, [], {})
    assert marks.address(none) == marks.wandb_id(none) == ""
    marks.mark_recorded("project/offline", tmp_path, "offline")
    assert marks.address(none) == "project/offline"
    marks.mark_recorded("team/project/online", tmp_path)
    assert marks.address(pulled) == "team/project/online"


def test_a_damaged_mark_is_named(tmp_path):
    path = tmp_path / WANDB / marks.OPENED
    path.parent.mkdir()
    for content in (b"[1]", b'{"path": "te', b"\xff"):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=rf"{path}: is damaged; delete it"):
            marks.opened(tmp_path)


def test_a_damaged_mark_says_nothing_of_the_address(tiny_run, tmp_path):
    run = Run(tmp_path, tiny_run.config, [], {})
    marks.mark_recorded("project/offline", tmp_path, "offline")
    (tmp_path / WANDB / marks.OPENED).write_text('{"path": "te')
    assert marks.address(run) == "project/offline"
    for mark in marks.MARKS.values():
        (tmp_path / WANDB / mark).write_bytes(b"\xff\xfe")
    assert "/" not in marks.address(run)  # no project


def test_a_run_that_is_online_needs_no_run_offline(tmp_path):
    path = "team/project/abc"
    marks.mark_recorded(path, tmp_path)
    assert marks.is_recorded(tmp_path, "online") and marks.is_recorded(tmp_path)
    (tmp_path / "other").mkdir()
    marks.mark_recorded(path, tmp_path / "other", "offline")
    assert not marks.is_recorded(tmp_path / "other", "online")
