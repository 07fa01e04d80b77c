import errno
import io
import stat

import pytest

from study import files
from study.errors import RunError, UsageError


@pytest.mark.parametrize(
    ("name", "expected"),
    [("norms: 1/2", "norms__1_2"), ("..hidden", "hidden"), ("", "_"), ("a-b.c_d", "a-b.c_d")],
)
def test_any_name_becomes_a_file_name(name, expected):
    assert files.file_name(name) == expected


def test_json_and_lines_are_read_back(tmp_path):
    files.write_json(tmp_path / "new/one.json", {"lr": 0.1})
    assert files.read_json(tmp_path / "new/one.json") == {"lr": 0.1}
    rows = [{"epoch": 1}, {"epoch": 2}]
    files.write_json_lines(tmp_path / "rows.jsonl", rows)
    assert files.read_json_lines(tmp_path / "rows.jsonl") == rows
    assert files.read_json_lines(tmp_path / "absent.jsonl") == []


def test_an_appended_line_is_whole_or_not_there(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    with pytest.raises(RunError, match="is gone"):  # with the folder of a run, say
        files.append_json_line(path, {"epoch": 1})
    files.write_json_lines(path, [{"epoch": 1}])
    files.append_json_line(path, {"epoch": 2})
    assert files.read_json_lines(path) == [{"epoch": 1}, {"epoch": 2}]

    class Full(io.FileIO):
        def write(self, content):
            return super().write(content[:5])

    monkeypatch.setattr(files, "open", lambda path, *_, **__: Full(path, "a"), raising=False)
    with pytest.raises(RunError, match="No space left on device"):
        files.append_json_line(path, {"epoch": 3})
    assert files.read_json_lines(path) == [{"epoch": 1}, {"epoch": 2}]


def test_a_link_takes_the_place_of_a_file_and_moves_with_its_target(tmp_path):
    (tmp_path / "a/run").mkdir(parents=True)
    (tmp_path / "a/shared").write_text("shared")
    path = tmp_path / "a/run/file"
    path.write_text("own")
    files.link(path, tmp_path / "a/shared")
    (tmp_path / "a").rename(tmp_path / "b")
    assert (tmp_path / "b/run/file").read_text() == "shared"
    files.write_text(tmp_path / "b/run/file", "own again")  # replaces the link, not its target
    assert (tmp_path / "b/shared").read_text() == "shared"
    with pytest.raises(RunError, match="cannot be written"):
        files.link(tmp_path / "nowhere/file", tmp_path / "b/shared")


def test_a_written_file_has_the_users_permissions(tmp_path):
    files.write_text(tmp_path / "text", "ä")
    (tmp_path / "plain").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("text", "plain")]
    assert modes[0] == modes[1]
    assert (tmp_path / "text").read_bytes() == "ä".encode()


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"absent\.json: cannot be read \(No such file"):
        files.read_json(tmp_path / "absent.json")
    (tmp_path / "half.json").write_text('{"lr": ')
    with pytest.raises(UsageError, match=r"half\.json: is damaged"):
        files.read_json(tmp_path / "half.json")


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file: cannot be written"):
        files.check_writable(tmp_path / "file")
    files.check_writable(tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


def test_what_does_not_fit_the_cache_names_its_variable(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(RunError, match=r"No space left.*choose another folder with STUDY_CACHE"):
        files.write_text(tmp_path / "cache/bank/copy", "")
    with pytest.raises(UsageError, match=r"choose another folder with STUDY_CACHE"):
        files.check_writable(tmp_path / "cache/bank")
    with pytest.raises(RunError, match=r"choose another folder with --out$"):
        files.write_text(tmp_path / "runs/file", "")
    monkeypatch.setenv("STUDY_RUNS", str(tmp_path / "runs"))  # agents have no --out
    with pytest.raises(RunError, match=r"choose another folder with --out .*agents: STUDY_RUNS"):
        files.write_text(tmp_path / "runs/file", "")


@pytest.mark.parametrize("name", ["../up", "/etc", "..", ".", ".hidden", "", "a b", "a/b", "a\0", 5,
                                  "n" * 151, "ä" * 76, "\ud800", None])  # fmt: skip
def test_a_name_that_leads_elsewhere_is_no_file_name(name):
    assert not files.is_file_name(name)
    if isinstance(name, str):
        assert files.is_file_name(files.file_name(name))


@pytest.mark.parametrize("name", ["a", "a.b-c_1", "ä" * 75, "n" * 150])
def test_a_plain_name_is_a_file_name(name):
    assert files.is_file_name(name) and files.file_name(name) == name


def test_a_copy_is_whole_or_not_there(tmp_path, monkeypatch):
    (tmp_path / "source").write_bytes(b"12345" * 1000)
    files.copy(tmp_path / "source", tmp_path / "folder/copy")
    assert (tmp_path / "folder/copy").read_bytes() == b"12345" * 1000

    def full(source, file):
        file.write(source.read(5))
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.shutil, "copyfileobj", full)
    with pytest.raises(RunError, match="No space left on device"):
        files.copy(tmp_path / "source", tmp_path / "folder/other")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["copy"]


def test_half_a_letter_can_be_written(tmp_path):
    files.write_text(tmp_path / "text", "a\ud800b")
    assert (tmp_path / "text").read_text() == "a?b"


def test_a_folder_for_temporary_files_is_made_and_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with files.temporary_folder() as folder:
        files.write_text(folder / "a", "a")
        (folder / "b").mkdir()
        with pytest.raises(RunError, match=r"choose another folder with TMPDIR$"):
            files.write_text(folder / "b", "b")
    assert not folder.exists()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with (
        pytest.raises(RunError, match=r"No such file .* choose another folder with TMPDIR$"),
        files.temporary_folder(),
    ):
        pass
