"""Counts from sequences, tables and label files; every bad input is an error that names file, line and value."""

import io
import time
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from lpmjax.counts import class_counts, read_counts


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"class,count\ncat,3\ndog,20\n", {"cat": 3, "dog": 20}),
        (b"cat,3\ndog,20\n", {"cat": 3, "dog": 20}),
        (b"\n\ncat,3\n\ndog,20", {"cat": 3, "dog": 20}),
        (b"\xef\xbb\xbfclass,count\r\ncat,3\r\ndog,20\r\n", {"cat": 3, "dog": 20}),
        (b"Count, id, CLASS\n3,x,cat\n20,y,dog\n", {"cat": 3, "dog": 20}),
        (b'"cat, small",3\n"two\nlines",4\n"say ""hi""",5\n', {"cat, small": 3, "two\nlines": 4, 'say "hi"': 5}),
        (b"cat,3.0\ndog,2e3\n", {"cat": 3, "dog": 2000}),
        ("Größe,3\n猫,4\n".encode(), {"Größe": 3, "猫": 4}),
        (b"0,500\n1,5\n", {"0": 500, "1": 5}),
        (b"cat\ndog\ncat\n\ncat", {"cat": 3, "dog": 1}),
        (b"\xef\xbb\xbfcat\r\ndog\ncat \r\n", {"cat": 2, "dog": 1}),
        (b"7\n3\n7\n", {"7": 2, "3": 1}),
    ],
)
def test_files(tmp_path, monkeypatch, content, found):
    path = tmp_path / "a"
    path.write_bytes(content)
    assert read_counts(path) == found
    assert list(read_counts(path)) == list(found)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert read_counts("-") == found


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", ["is empty", "class,count"]),
        (b"\n \r\n", ["is empty"]),
        (b"class,count\n", ["header and no rows"]),
        (b"cat,3\n", ["one class only", "'cat'", "at least 2"]),
        (b"cat\ncat\n", ["one class only"]),
        (b"class,count\ncat,3\ndog,0\n", ["line 3", "'0'", "'dog'", ">= 1", "Leave classes without samples out"]),
        (b"cat,3\ndog,-2\n", ["line 2", "'-2'", ">= 1"]),
        (b"cat,3\ndog,1.5\n", ["line 2", "'1.5'", "whole number"]),
        (b"cat,3\ndog,nan\n", ["line 2", "'nan'"]),
        (b"cat,3\ndog,inf\n", ["line 2", "'inf'"]),
        (b"cat,3\ndog,1e400\n", ["line 2", "'1e400'"]),
        (b"cat,3\ndog,\n", ["line 2", "''"]),
        (b"cat,3\ndog,many\n", ["line 2", "'many'"]),
        (b"cat,3\ndog,1_000\n", ["line 2", "'1_000'"]),
        (b"cat,3\n,4\n", ["line 2", "name is empty"]),
        (b"cat,3\ndog,4\n cat ,5\n", ["line 3", "'cat'", "line 1", "add them up"]),
        (b"cat,3\ndog,4,5\n", ["line 2", "3 column(s)", "2"]),
        (b"cat,3\ndog\n", ["line 2", "1 column(s)"]),
        (b"name,size\ncat,3\n", ["line 1", "'name,size'", "class and count"]),
        (b"1,2,3\n4,5,6\n", ["line 1", "class and count"]),
        (b'cat,3\n"dog,4\n', ["class,count"]),
        (b'cat,3\n"dog"s,4\n', ["line 2"]),
        (b"cat,3\nd\xffg,4\n", ["line 2", "not text", "UTF-8"]),
        (b"\x89PNG\r\n\x1a\n\x00\x00", ["line 1", "not text", "uncompressed"]),
        (b"cat\ndo\x00g\n", ["line 2", "not text"]),
        (b"x" * 2**20 + b"\ny", ["line 1", "longer"]),
        (b"500\n477\n455\n", ["all 3 lines differ", "'500'", "class,count"]),
    ],
)
def test_bad_files(tmp_path, content, named):
    path = tmp_path / "counts.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"counts\.csv") as caught:
        read_counts(path)
    assert [part for part in named if part not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(OSError, match=r"nowhere\.csv: No such file"):
        read_counts(tmp_path / "nowhere.csv")
    with pytest.raises(OSError, match="Is a directory"):
        read_counts(tmp_path)


def test_sequences_and_mappings():
    names, counts = class_counts({"a": 3, 5: 1})
    assert names == ("a", "5")
    assert counts.tolist() == [3, 1]
    names, counts = class_counts(np.array([4.0, 2.0]))
    assert names == ("0", "1")
    assert counts.dtype == np.int64
    assert class_counts([1, 2], ["x", "y"])[0] == ("x", "y")


@pytest.mark.parametrize(
    ("counts", "names", "named"),
    [
        ([3, 0], None, r"counts\[1\] = 0 .* whole numbers >= 1"),
        ([3, -1], None, r"counts\[1\] = -1"),
        ([3, 1.5], None, r"counts\[1\] = 1.5"),
        ([3, float("nan")], None, r"counts\[1\] = nan"),
        ([3, 1e17], None, r"counts\[1\] = 1e\+17"),
        ([3], None, "at least 2"),
        ([], None, "at least 2"),
        ([[1, 2]], None, "one-dimensional"),
        (["3", "4"], None, "whole numbers"),
        ([True, True], None, "whole numbers"),
        ([3, 4], ["a"], "names has 1"),
        ([3, 4], ["a", "a"], "'a' more than once"),
        ({"1": 2, 1: 3}, None, "'1' more than once"),
        ({"a": 2, "b": 3}, ["x", "y"], "keys of counts"),
    ],
)
def test_bad_sequences(counts, names, named):
    with pytest.raises(ValueError, match=named):
        class_counts(counts, names)


@pytest.mark.parametrize("rows", [10**6, pytest.param(10**7, marks=pytest.mark.slow)])
def test_label_files_are_streamed(tmp_path, rows):
    path = tmp_path / "labels.txt"
    label = np.random.default_rng(0).geometric(0.02, 10**5)
    path.write_text("".join(f"class {k}\n" for k in label) * (rows // label.size))
    begin = time.perf_counter()
    tracemalloc.start(1)
    found = read_counts(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{rows} labels: {time.perf_counter() - begin:.1f} s, peak {peak / 2**20:.1f} MiB")
    assert sum(found.values()) == rows
    assert found["class 1"] == np.sum(label == 1) * (rows // label.size)
    assert peak < 2**24
