import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from irp_kedro.writing import file_aside, folder_aside, remove_folder, write_json


class Killed(BaseException):
    """A process that ends here; ``except Exception`` does not see it."""


def write_half(aside: Path) -> NoReturn:
    (aside / "half" if aside.is_dir() else aside).write_text("hal")
    raise Killed


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_value_is_written_as_readable_json(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "value.json"
    write_json(path, {"name": "Kratzer, 傷", "numbers": [1, 2.5]})
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "Kratzer, 傷", "numbers": [1, 2.5]}
    assert "Kratzer, 傷" in path.read_text(encoding="utf-8")


def test_names_beyond_ascii_survive_a_locale_without_them(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from irp_kedro.writing import write_json; "
        r"write_json(Path(sys.argv[1]), '\u50b7')"
    )
    plain = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "value.json")], check=True, env=plain)
    assert json.loads((tmp_path / "value.json").read_bytes()) == "傷"


def test_a_value_that_json_cannot_hold_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, "old")
    with pytest.raises(TypeError):
        write_json(path, {"path": Path("x")})
    assert json.loads(path.read_text()) == "old"
    assert names(tmp_path) == ["value.json"]


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with file_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["file.txt"]


def test_a_file_cut_short_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(Killed), file_aside(path) as aside:
        write_half(aside)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


def test_what_is_written_can_be_read_by_others(tmp_path: Path) -> None:
    with file_aside(tmp_path / "file.txt") as aside:
        aside.write_text("x")
    with folder_aside(tmp_path / "folder"):
        pass
    assert (tmp_path / "file.txt").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o755


def test_a_folder_replaces_the_old_one_and_all_that_was_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("first", "second"):
        with folder_aside(folder) as aside:
            (aside / name).write_text(name)
    assert names(folder) == ["second"]
    assert names(tmp_path) == ["folder"]


def test_a_folder_cut_short_leaves_the_old_one_and_no_litter(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with folder_aside(folder) as aside:
        (aside / "old").touch()
    with pytest.raises(Killed), folder_aside(folder) as aside:
        write_half(aside)
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_removing_a_folder_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove_folder(tmp_path / "folder")
    assert names(tmp_path) == []


def test_a_removal_cut_short_leaves_nothing_under_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").touch()
    (folder / "b").touch()

    def remove_one(path: Path, **_: Any) -> None:
        if path.exists():
            next(path.iterdir()).unlink()
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", remove_one)
        with pytest.raises(Killed):
            remove_folder(folder)
    assert not folder.exists()
    folder.mkdir()
    remove_folder(folder)
    assert names(tmp_path) == []
