"""What the library would trust blindly is only believed when this user wrote it with this instance's key."""

from __future__ import annotations

from pathlib import Path

from pilotage.adapters.kept_forms import FormFolder

NAME = "ab" * 32


def folder(path: Path, key: bytes = bytes(32)) -> FormFolder:
    return FormFolder(folder=path / "forms", key=key)


def test_what_was_saved_comes_back_from_a_file_only_its_owner_can_touch(tmp_path: Path) -> None:
    forms = folder(tmp_path)
    assert forms.load(NAME) is None
    forms.save(NAME, b"compiled")
    forms.save(NAME, b"compiled again")
    assert forms.load(NAME) == b"compiled again"
    [file] = (tmp_path / "forms").iterdir()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_changed_renamed_shared_or_foreign_file_is_no_file(tmp_path: Path) -> None:
    forms = folder(tmp_path)
    forms.save(NAME, b"compiled")
    path = tmp_path / "forms" / NAME
    assert folder(tmp_path, key=b"x" * 32).load(NAME) is None
    other = "cd" * 32
    (tmp_path / "forms" / other).write_bytes(path.read_bytes())
    (tmp_path / "forms" / other).chmod(0o600)
    assert forms.load(other) is None
    path.chmod(0o640)
    assert forms.load(NAME) is None
    path.chmod(0o600)
    held = path.read_bytes()
    path.write_bytes(held[:-1] + b"!")
    assert forms.load(NAME) is None
    path.write_bytes(held)
    assert forms.load(NAME) == b"compiled"
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    assert forms.load(NAME) is None


def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "forms").write_text("in the way")
    folder(tmp_path).save(NAME, b"compiled")
    assert folder(tmp_path).load(NAME) is None
