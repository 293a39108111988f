"""Names that lead out of the folder, in every way we know, and files that are none."""

import os
import socket
from pathlib import Path

import pytest

from lts_jax.live.tools.rooted import files_below, parts_of, read_below


@pytest.fixture
def root(tmp_path):
    """A root with files, folders, links of all kinds and special files; beside it a secret."""
    folder = tmp_path / "root"
    (folder / "inner" / "deep").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("classified")
    (folder / "a.txt").write_text("alpha")
    (folder / "inner" / "b.txt").write_text("beta")
    (folder / "inner" / "deep" / "c d.txt").write_text("gamma")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "inside.txt").symlink_to(folder / "a.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "same").symlink_to(folder / "inner")
    (folder / "loop").symlink_to(folder / "loop")
    os.mkfifo(folder / "pipe")
    plug = socket.socket(socket.AF_UNIX)
    plug.bind(str(folder / "plug"))
    plug.close()
    return folder


def test_files_are_read_by_their_names(root):
    assert read_below(root, "a.txt", 5) == b"alpha"
    assert read_below(root, "inner/b.txt", 100) == b"beta"
    assert read_below(root, "./inner//deep/c d.txt", 100) == b"gamma"


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "/", "..", "../secret.txt", "inner/../../secret.txt", "inner/../a.txt", "/etc/passwd", "//etc/passwd",
        "a\0.txt", "x" * 300, "/".join("x" * 40),
    ],
)  # fmt: skip
def test_names_that_are_none_of_ours(root, name):
    with pytest.raises(ValueError, match="expected the name of a file at hand"):
        read_below(root, name, 100)
    with pytest.raises(ValueError, match="expected the name of a file at hand"):
        parts_of(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("missing.txt", "there is no file"),
        ("inner/missing.txt", "there is no file"),
        ("link.txt", "is no regular file"),
        ("inside.txt", "is no regular file"),
        ("loop", "is no regular file"),
        ("up/secret.txt", "cannot be opened"),
        ("same/b.txt", "cannot be opened"),
        ("loop/a.txt", "cannot be opened"),
        ("a.txt/b.txt", "cannot be opened"),
        ("inner", "is no regular file"),
        ("pipe", "is no regular file"),
        ("plug", "is no regular file"),
        ("\udcff\ud800", "codec can't encode"),
    ],
)
def test_what_is_no_file_of_ours(root, name, said):
    with pytest.raises(ValueError, match=said):
        read_below(root, name, 100)


def test_devices_are_not_opened():
    for name in ("null", "zero", "random"):
        with pytest.raises(ValueError, match="is no regular file"):
            read_below(Path("/dev"), name, 100)


def test_long_files_are_refused_unread(root):
    with pytest.raises(ValueError, match="has 5 bytes; files of up to 4 are read"):
        read_below(root, "a.txt", 4)
    with open(root / "huge", "wb") as file:
        file.truncate(1 << 40)  # a hole of a tebibyte
    with pytest.raises(ValueError, match="has 1,099,511,627,776 bytes"):
        read_below(root, "huge", 1 << 20)


def test_a_file_whose_size_is_a_lie_is_cut_off():
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc")
    with pytest.raises(ValueError, match="has more than 10 bytes"):
        read_below(Path("/proc/self"), "status", 10)  # its size reads as 0


def test_a_listing_has_regular_files_only(root):
    assert list(files_below(root)) == [("a.txt", 5), ("inner/b.txt", 4), ("inner/deep/c d.txt", 5)]


@pytest.mark.parametrize(("num_opened", "content"), [(1, None), (2, b"beta")])
def test_a_folder_that_becomes_a_link_meanwhile_leads_nowhere(root, tmp_path, monkeypatch, num_opened, content):
    """Another process puts a link to the outside in the folder's place: before we open it, and just after."""
    (tmp_path / "b.txt").write_text("classified")
    genuine, opened = os.open, []

    def swapping_open(*arguments, **options):
        opened.append(genuine(*arguments, **options))
        if len(opened) == num_opened:
            os.rename(root / "inner", root / "aside")
            os.symlink(tmp_path, root / "inner")
        return opened[-1]

    monkeypatch.setattr(os, "open", swapping_open)
    if content is None:
        with pytest.raises(ValueError, match="cannot be opened"):
            read_below(root, "inner/b.txt", 100)
    else:
        assert read_below(root, "inner/b.txt", 100) == content


def test_a_file_that_becomes_a_link_meanwhile_leads_nowhere(root, tmp_path, monkeypatch):
    """Between our look at the file and its opening."""
    genuine = os.stat

    def swapping_stat(*arguments, **options):
        found = genuine(*arguments, **options)
        if options.get("follow_symlinks") is False:
            os.unlink(root / "a.txt")
            os.symlink(tmp_path / "secret.txt", root / "a.txt")
        return found

    monkeypatch.setattr(os, "stat", swapping_stat)
    with pytest.raises(ValueError, match="cannot be opened"):
        read_below(root, "a.txt", 100)


def test_no_descriptor_is_left_open(root):
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else pytest.skip("no /proc")
    for name in ("a.txt", "inner/deep/c d.txt", "up/secret.txt", "missing", "inner/pipe", "link.txt"):
        try:
            read_below(root, name, 100)
        except ValueError:
            continue
    next(files_below(root))
    list(files_below(root))
    assert len(os.listdir("/proc/self/fd")) == before
