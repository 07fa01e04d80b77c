from types import SimpleNamespace

import pytest

from study.errors import RunError
from study.tracking import client, stored, tables

WHOLE = {"epoch": 2, "state": "finished"} | dict.fromkeys(tables.NAMES)


@pytest.mark.parametrize(
    ("state", "rows", "summary", "why"),
    [
        ("running", 2, WHOLE, "its state there is running"),
        ("finished", 1, WHOLE, "2 of 2 epochs"),
        ("finished", 2, WHOLE | {"state": "running"}, "its summary"),
        ("finished", 2, {"epoch": 2, "state": "finished", "layers": {}}, "misclassified, "),
        ("finished", 2, WHOLE, ""),
    ],
)
def test_what_the_server_lacks_is_told(tiny_run, state, rows, summary, why):
    on_server = SimpleNamespace(state=state, historyLineCount=rows, summary=summary)
    described = stored.describe_missing(on_server, tiny_run)
    assert why in described if why else described == ""


def test_runs_are_asked_for_by_project_until_they_are_whole(tiny_run, monkeypatch):
    whole = SimpleNamespace(state="finished", historyLineCount=2, summary=WHOLE)
    asked = []

    def find_runs(project, ids):
        asked.append((project, ids))
        if len(asked) == 1:
            raise RunError("it is away")
        return {"a": whole} if project == "team/one" else {}

    monkeypatch.setattr(stored, "INTERVAL", 0)
    monkeypatch.setattr(client, "find_runs", find_runs)
    missing = stored.find_missing({"team/one/a": tiny_run, "team/two/b": tiny_run})
    assert missing == {"team/two/b": "it has no such run"}
    assert asked == [
        ("team/one", ["a"]),
        *[("team/one", ["a"]), ("team/two", ["b"])],
        ("team/two", ["b"]),
    ]
