"""Root is given up: what serves is the data directory's owner, and no file locks it out."""

import os
import stat
import subprocess
import sys

import pytest

from execution_site.floor import private_files, private_json
from execution_site.installation import unprivileged
from execution_site.processes.embedded import process
from execution_site.processes.embedded.process import Account, ServiceFailed
from execution_site.processes.roles import MANAGE

NOBODY = process.account(MANAGE)
OTHER = Account(4242, 4242)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def clone(where, *, folder, file):
    """Make a clone with these modes; return the file in it."""
    source = where / "clone" / "manage.py"
    source.parent.mkdir()
    source.touch()
    source.chmod(file)
    source.parent.chmod(folder)
    return source


@pytest.fixture
def data_dir(tmp_path):
    """A data directory of root's, as an earlier version left it."""
    folder = tmp_path / "data"
    folder.mkdir()
    for file in ("secrets.json", "runtime.json", "audit-anchor.jsonl", "postgres.log", "lock"):
        private_json.create(folder / file, {})
    return folder


def owner(path):
    return path.lstat().st_uid


@pytest.mark.parametrize(
    ("command", "serves"),
    [
        ("run", True),
        ("run_web", True),
        ("run_sealer", True),
        ("prepare", True),
        ("backup", False),
        ("makemigrations", False),
        ("runserver", False),
        ("help", False),
    ],
)
def test_what_serves_gives_root_up(command, serves):
    assert unprivileged.serves(command) is serves


@as_root
@pytest.mark.parametrize(
    ("_case", "folder", "servers", "whom"),
    [
        ("all of it is root's", 0, 0, NOBODY.uid),
        ("the folder is somebody's", 4242, 0, 4242),
        ("the servers' folder is somebody's", 0, 4242, 4242),
    ],
)
def test_the_owner_of_the_data_directory_is_whom_it_runs_as(data_dir, _case, folder, servers, whom):
    (data_dir / "postgres").mkdir()
    os.chown(data_dir / "postgres", servers, servers)
    os.chown(data_dir, folder, folder)

    assert process.account(data_dir / "postgres").uid == whom


@as_root
def test_an_installation_of_roots_is_given_to_the_user_once(data_dir):
    """Afterwards the user may have made the entries: a link of theirs is given nothing."""
    (data_dir / "notes").write_text("an operator's own")
    unprivileged.hand_over(data_dir, OTHER)

    assert {owner(path) for path in data_dir.iterdir() if path.name != "notes"} == {OTHER.uid}
    assert (owner(data_dir), owner(data_dir / "notes")) == (OTHER.uid, 0)
    later = data_dir / "users"
    later.touch()
    unprivileged.hand_over(data_dir, OTHER)
    assert owner(later) == 0


@as_root
def test_a_link_leads_nowhere(data_dir, tmp_path):
    (tmp_path / "shadow").touch()
    (data_dir / "valkey.log").symlink_to(tmp_path / "shadow")

    unprivileged.hand_over(data_dir, OTHER)

    assert owner(tmp_path / "shadow") == 0
    with pytest.raises(OSError, match="symbolic links"):
        private_files.opened(data_dir / "valkey.log", os.O_WRONLY)


@as_root
def test_a_second_name_of_a_file_of_roots_is_not_given_away(data_dir, tmp_path):
    unprivileged.hand_over(data_dir, OTHER)
    (tmp_path / "shadow").touch()
    os.link(tmp_path / "shadow", data_dir / "users")

    os.close(private_files.opened(data_dir / "users", os.O_WRONLY))

    assert owner(tmp_path / "shadow") == 0


@as_root
def test_a_folder_of_other_things_is_given_to_nobody(tmp_path):
    (tmp_path / "mail").touch()

    with pytest.raises(ServiceFailed, match="Set DATA_DIR to a folder of the site's own"):
        unprivileged.hand_over(tmp_path, OTHER)

    assert owner(tmp_path) == 0


@as_root
def test_what_a_command_of_roots_makes_is_the_users(data_dir):
    unprivileged.hand_over(data_dir, OTHER)

    private_json.replace(data_dir / "secrets.json", {"new": "key"})
    os.close(private_files.opened(data_dir / "users", os.O_WRONLY))

    for name in ("secrets.json", "users"):
        assert owner(data_dir / name) == OTHER.uid
        assert stat.S_IMODE((data_dir / name).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("_case", "folder", "file", "may"),
    [
        ("everybody's", 0o755, 0o644, True),
        ("a closed file", 0o755, 0o600, False),
        ("a closed folder", 0o711, 0o644, False),
        ("another group's", 0o750, 0o640, False),
    ],
)
def test_a_clone_that_the_user_may_not_read_is_refused_in_words(tmp_path, _case, folder, file, may):
    source = clone(tmp_path, folder=folder, file=file)

    if may:
        unprivileged.check_readable(source, OTHER)
    else:
        with pytest.raises(ServiceFailed, match=rf"user 4242.*chmod -R o\+rX {source.parent}"):
            unprivileged.check_readable(source, OTHER)


@as_root
@pytest.mark.parametrize(
    ("_case", "folder", "file", "left"),
    [
        ("a folder made for root alone", 0o700, 0o644, 0o705),
        ("everybody's", 0o755, 0o644, 0o755),
        ("a clone made for root alone", 0o700, 0o600, 0o700),
    ],
)
def test_the_folder_of_a_clone_is_opened_where_its_files_are(tmp_path, _case, folder, file, left):
    source = clone(tmp_path, folder=folder, file=file)

    unprivileged.let_list(source, OTHER)

    assert stat.S_IMODE(source.parent.stat().st_mode) == left


@as_root
def test_root_is_given_up_for_good_and_who_ends_with_its_parent_still_does(tmp_path):
    code = """
import ctypes, os, sys
from execution_site.installation import unprivileged
from execution_site.processes.embedded.process import Account
libc, wish = ctypes.CDLL(None), ctypes.c_int()
libc.prctl(1, 15)
unprivileged._give_root_up(Account(4242, 4242))
libc.prctl(2, ctypes.byref(wish))
print(os.getresuid(), os.getresgid(), os.getgroups(), wish.value)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=MANAGE.parent, capture_output=True, text=True, check=False
    )

    assert ran.stdout == "(4242, 4242, 4242) (4242, 4242, 4242) [] 15\n", ran.stderr


@as_root
def test_a_clone_that_is_refused_is_left_as_it_was(tmp_path, monkeypatch):
    source = clone(tmp_path, folder=0o700, file=0o600)
    monkeypatch.setattr(unprivileged, "READ_FIRST", (source,))

    with pytest.raises(ServiceFailed, match="may not read"):
        unprivileged.become(tmp_path / "data", ["run"])

    assert stat.S_IMODE(source.parent.stat().st_mode) == 0o700
    assert not (tmp_path / "data").exists()
