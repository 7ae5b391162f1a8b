"""Counts from callers and files: what is read is what is meant, said in words; what can be two things is refused."""

import collections
import csv
import io
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from lpmjax.counts import class_counts, read
from lpmjax.counts.given import by_class
from lpmjax.counts.names import told_apart


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
        (b"cat;3\ndog;20\n", {"cat": 3, "dog": 20}),
        (b"cat, small;3\ndog;20\n", {"cat, small": 3, "dog": 20}),
        (b"cat\t3\ndog\t20\n", {"cat": 3, "dog": 20}),
        (b"\tcount\ncat\t3\ndog\t20\n", {"cat": 3, "dog": 20}),
        (b"   3 cat.txt\n   3 dog.txt\n   6 total\n", {"cat.txt": 3, "dog.txt": 3}),
        (b"ImageID,LabelName\nx,cat\ny,cat\nz,dog\n", {"cat": 2, "dog": 1}),
        (b"cat,3\rdog,20\r", {"cat": 3, "dog": 20}),
        (b"cat\rdog\rcat", {"cat": 2, "dog": 1}),
        (b"\xef\xbb\xbf\ncat,3\ndog,20\n", {"cat": 3, "dog": 20}),
        (b"\xef\xbb\xbf\r\ncat\r\ndog\r\ncat\r\n", {"cat": 2, "dog": 1}),
        (b"great cat 3\ndog 20\n", {"great cat": 3, "dog": 20}),
        (b"class count\ncat 3\ndog 3\n", {"cat": 3, "dog": 3}),
        (b"   3 great cat\n  20 dog\n", {"great cat": 3, "dog": 20}),
        (b"      4 first class\n      2 dog\n", {"first class": 4, "dog": 2}),
        (b"count class\n3 cat\n20 dog\n", {"cat": 3, "dog": 20}),
        (b"count class\n3 1\n3 2\n", {"1": 3, "2": 3}),
        (b"species,count\ncat,3\ndog,20\n", {"cat": 3, "dog": 20}),
        (b"name\tnum_samples\ncat\t3\ndog\t20\n", {"cat": 3, "dog": 20}),
        (b",count\ncat,3\ndog,20\n", {"cat": 3, "dog": 20}),
        (b"class_id,class,numSamples\n7,cat,3\n8,dog,20\n", {"cat": 3, "dog": 20}),
        (b"cat,3\ndog,20\nTotal,23\n", {"cat": 3, "dog": 20}),
        (b"class,count\nSum:,23\ncat,3\ndog,20\n", {"cat": 3, "dog": 20}),
        (b"count\n3\n20\n20\n", {"0": 3, "1": 20, "2": 20}),
        (b"# of samples\n3\n20\n", {"0": 3, "1": 20}),
        (b"label\ncat\ndog\ncat\n", {"cat": 2, "dog": 1}),
        (b"Label\n1\n2\n1\n", {"1": 2, "2": 1}),
        (b"label\nclass\nclass\ndog\n", {"class": 2, "dog": 1}),
        (b"3 cats\n3 cats\n7 dogs\n", {"3 cats": 2, "7 dogs": 1}),
        (b"path label\na b.jpg 1\nc.jpg 1\nd.jpg 2\n", {"1": 2, "2": 1}),
        (b"n\na\nb\na\n", {"n": 1, "a": 2, "b": 1}),
        (b"0\n1\n0\n2\n", {"0": 2, "1": 1, "2": 1}),
        (b"-1\n1\n1\n", {"-1": 1, "1": 2}),
        (b"class,5\ncat,3\n", {"class": 5, "cat": 3}),
        (b"first class\nlast class\nfirst class\n", {"first class": 2, "last class": 1}),
        (b"class 1\nclass 2\nclass 1\n", {"class 1": 2, "class 2": 1}),
        (b"a b.jpg cat\nc.png cat\nd.png dog\n", {"cat": 2, "dog": 1}),
        (b"a.jpg,1\nb.jpg,1\nc.jpg,2\n", {"1": 2, "2": 1}),
        (b"path label\na.jpg 1\nb.jpg 1\nc.jpg 2\n", {"1": 2, "2": 1}),
        (b"id,label,fold\nx,cat,1\ny,cat,2\nz,dog,1\n", {"cat": 2, "dog": 1}),
        (b"x1 0\nx2 0\nx3 1\nx4 1\n", {"0": 2, "1": 2}),
    ],
)
def test_files(tmp_path, monkeypatch, content, found):
    path = tmp_path / "a"
    path.write_bytes(content)
    assert read(path) == found
    assert list(read(path)) == list(found)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    assert read("-") == found


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
        (b"\n\ncat,3\ndog,many\n", ["line 4", "'many'"]),
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
        (b"a\nb\nc\n", ["all 3 lines differ", "'a'", "class,count"]),
        ("".join(f"x{k}\n" for k in range(40)).encode() + b"x1\n", ["40 of the 41 lines differ", "awk", "--labels"]),
        (b"x1,cat\nx2,cat\nx3,dog\n", ["line 1", "cut -d, -f2 ", "| lpmjax diagnose - --labels"]),
        (b"x1\tcat\nx2\tcat\nx3\tdog\n", ["cut -f2 "]),
        (b"a/x.jpg\na/y.jpg\na/x.jpg\n", ["names of files", "'a/x.jpg'", "awk -F/ '{print $(NF-1)}'"]),
        (b"a.jpg,1\nb.jpg,2\n", ["line 1", "names of files", "never repeats"]),
        (b"species\n1\n2\n1\n", ["'species' stands over numbers", "call it label or count"]),
        (b"class_id,class_name,count\n0,cat,3\n1,dog,4\n", ["line 1", "which column holds what"]),
        (b"cat,3\ndog,20\nTotal,24\n", ["line 3", "'Total' is 24", "sum to 23", "remove it"]),
        (b"[3, 20, 5]\n", ["JSON", "json.load"]),
        (b"[\n 5,\n 5,\n 5,\n 3\n]\n", ["JSON"]),
        (b'{"cat": 3,\n"dog": 5}\n', ["JSON"]),
        (b"cat\t1,234\ndog\t5,678\n", ["line 1", "neither class,count"]),
        (b"cat;1,234\ndog;5,678\n", ["line 1", "neither class,count"]),
        (b"cat 1 234\ndog 5 678\n", ["line 1", "more than one number", "--counts"]),
        (b"a.jpg 0 0 1\nb.jpg 0 1 1\nc.jpg 1 0 0\nd.jpg 1 1 0\n", ["line 1", "more than one number"]),
        (b"1 great cat\n2 dog\n3 emu\n", ["'1 great cat'", "a sample and its label or number", "--counts"]),
        (b"1 a.jpg\n1 b.jpg\n2 c.jpg\n", ["'1 a.jpg'", "3 lines, 2 different numbers"]),
        (b"3 a.jpg\n3 b.jpg\n7 c.jpg\n", ["'3 a.jpg'", "3 lines, 2 different numbers"]),
        (b"1 1:0.5 2:0.3\n2 1:0.1\n1 2:0.2\n", ["3 lines, 2 different numbers"]),
        (b"cat 1\ndog 2\nemu 3\n", ["'cat 1'", "3 lines, 3 different numbers"]),
        (b"cat,0\ndog,1\nemu,2\n", ["'cat 0'", "3 lines, 3 different numbers"]),
        (b"# my labels\ncat\ndog\ncat\n", ["'# my labels'", "comment"]),
        (b"3,20,5\n", ["3 numbers", "one number per line"]),
        (b"3 20 5\n4 1 1\n", ["which number is the class"]),
        (b"   3 emu 2\n  20 2\n", ["which number is the class"]),
        (b"   3 1\n  20 2\n", ["which number is the class", "Add a header"]),
        (b"count\n3\n0\n", ["line 3", "'0'", ">= 1"]),
        (b"label\n", ["one class only"]),
        (b"class\ndog\nclass\n", ["'class' a heading or a class?"]),
        (b"path label\nx1 a cat\nx2 a cat\nx3 dog\n", ["'x1 a cat'", "as many words as the header"]),
        (b"x1 a 0\nx2 a 0\nx3 b 1\nx4 b 1\n", ["'x1 a 0'", "--labels"]),
        (b"label,x\n", ["header and no rows"]),
        (b"id,label\nx,cat\ny,\n", ["line 3", "name is empty"]),
        (b"id,label\nx,cat\ny,dog\n", ["all 2 labels differ", "class,count rows"]),
    ],
)
def test_bad_files(tmp_path, content, named):
    path = tmp_path / "counts.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"counts\.csv") as caught:
        read(path)
    assert [part for part in named if part not in str(caught.value)] == []
    assert "\n" not in str(caught.value)


AMBIGUOUS = [
    (b"500\n477\n455\n435\n415\n415\n", {"0": 500, "4": 415, "5": 415}, {"500": 1, "415": 2}),
    (b"7\n3\n7\n", {"0": 7, "1": 3, "2": 7}, {"7": 2, "3": 1}),
    (b"5.0e+02\n4.0e+00\n4.0e+00\n", {"0": 500, "1": 4, "2": 4}, {"5.0e+02": 1, "4.0e+00": 2}),
    (b"cat 100\ndog 100\nemu 1\nfox 1\n", {"cat": 100, "fox": 1}, {"100": 2, "1": 2}),
    (b"x1,1\nx2,1\nx3,2\n", {"x1": 1, "x3": 2}, {"1": 2, "2": 1}),
    (b"x1 1\nx2 1\nx3 2\nx4 2\n", {"x1": 1, "x3": 2}, {"1": 2, "2": 2}),
]


@pytest.mark.parametrize(("content", "counts", "labels"), AMBIGUOUS)
def test_what_can_be_counts_and_labels_is_refused(tmp_path, content, counts, labels):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"can be .*count.* or a .*label.* --counts or --labels"):
        read(path)
    assert counts.items() <= read(path, "counts").items()
    assert labels.items() <= read(path, "labels").items()
    assert "labels" not in read(path, "counts").reading and "label" in read(path, "labels").reading
    with pytest.raises(ValueError, match="reading = 'both' is unknown"):
        read(path, "both")


def test_both_readings_are_named_with_their_sizes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(AMBIGUOUS[0][0])
    with pytest.raises(ValueError, match=r"count \(6 classes, 2697 samples\) or a label \(5 classes, 6 samples\)"):
        read(path)


def test_what_is_said_of_the_lines_wins_or_is_refused(tmp_path):
    path = tmp_path / "a"
    path.write_text("count\n500\n415\n415\n")
    assert read(path, "labels") == {"500": 1, "415": 2}
    path.write_text("".join(f"x{k}\n" for k in range(20)) + "x1\n")
    assert read(path, "labels")["x1"] == 2
    path.write_text("path label\na.jpg 1\nb.jpg 1\nc.jpg 2\n")
    with pytest.raises(ValueError, match=r"line 1: count = 'path label'.* say --labels"):
        read(path, "counts")


def test_labels_that_hold_commas_are_whole_lines(tmp_path):
    path = tmp_path / "a"
    path.write_text("tench, Tinca tinca\ngoldfish, Carassius auratus\ntench, Tinca tinca\n")
    with pytest.raises(ValueError, match="neither class,count"):
        read(path)
    assert read(path, "labels") == {"tench, Tinca tinca": 2, "goldfish, Carassius auratus": 1}


def _split(folder, suffix, labels, mark=" "):
    return "".join(f"{folder}/{k}/{i:08}{suffix}{mark}{k}\n" for i, k in enumerate(labels))


def _profiles():
    """(name, file, flag, count of each class, what is said) in the forms in which public data sets give them."""
    rng = np.random.default_rng(0)
    tail = np.round(500 * 0.01 ** (np.arange(100) / 99)).astype(int)
    from_one = {str(k + 1): int(n) for k, n in enumerate(tail)}
    numbered = {str(k): int(n) for k, n in enumerate(tail)}
    labels = np.repeat(np.arange(100), tail)
    animals = {"airplane": 5000, "bird": 1077, "cat": 1077, "truck": 50}
    rows = [f"{name},{n}" for name, n in animals.items()]
    mixed = rng.permutation(labels)
    shuffled = {str(k): int(tail[k]) for k in dict.fromkeys(mixed.tolist())}
    lesions = pd.Series(["nv"] * 60 + ["mel"] * 11 + ["df"] * 2, name="class")
    ids = pd.DataFrame({"image_id": [f"ISIC_{i:07}" for i in range(73)], "class": lesions, "age": 50})
    return [
        ("table", "class,count\n" + "\n".join(rows), None, animals, "class,count rows under the header"),
        ("bare table", "\n".join(rows), None, animals, "class,count rows"),
        ("spreadsheet", "\ufeffClass;Samples\r\n" + "\r\n".join(rows).replace(",", ";"), None, animals, "header"),
        ("tabs and a sum", "\n".join(rows).replace(",", "\t") + "\nTotal\t7204\n", None, animals, "without 'Total'"),
        ("uniq -c", "".join(f"{n:7} {name}\n" for name, n in animals.items()), None, animals, "count,class rows"),
        ("counts, one per line", "\n".join(map(str, tail)), "counts", numbered, "one count per line"),
        ("counts under a heading", "count\r" + "\r".join(map(str, tail)), None, numbered, "under the heading 'count'"),
        ("labels from 0", "\n".join(map(str, mixed)), None, shuffled, "one label per line"),
        ("split of JPEG", _split("train", ".JPEG", labels), None, numbered, "label at the end of each line"),
        ("split in CSV", _split("data_256", ".jpg", labels, ","), None, numbered, "label at the end of each line"),
        ("split of names", _split("val", "", labels), None, numbered, "label at the end of each line"),
        ("split from 1", _split("val", "", labels + 1), "labels", from_one, "at the end"),
        ("columns", ids.to_csv(index=False), None, {"nv": 60, "mel": 11, "df": 2}, "column 'class'"),
        ("value_counts", lesions.value_counts().to_csv(), None, {"nv": 60, "mel": 11, "df": 2}, "'class,count'"),
    ]


@pytest.mark.parametrize(("text", "flag", "found", "said"), [pytest.param(*p, id=name) for name, *p in _profiles()])
def test_profiles_in_public_forms(tmp_path, text, flag, found, said):
    path = tmp_path / "profile.txt"
    path.write_bytes(text.encode())
    counts = read(path, flag)
    assert counts == found
    assert list(counts) == list(found)
    assert said in counts.reading


WORDS = ["cat", "great cat", "St. Bernard", "x.y", "7", "0", "tench, Tinca", "a;b", "emu 3", "first class", "3 cats"]


def _random_file(rng):
    """A few classes with counts in a random form: (form and whether it has a header, file, count of each class)."""
    K = int(rng.integers(2, 8))
    form, mark = rng.choice(["table", "uniq", "labels", "split", "counts"]), rng.choice(list(",;\t "))
    names = [list(rng.permutation(WORDS)[:K]), list(map(str, range(K))), [f"class {k}" for k in range(K)]][
        rng.integers(3)
    ]
    if form == "counts":
        names = list(map(str, range(K)))
    found = dict(zip(map(str, names), rng.integers(1, rng.choice([3, 5, 500]), K).tolist(), strict=True))
    labels = [str(name) for name in rng.permutation(np.repeat(list(found), list(found.values())))]
    suffix = rng.choice(["", ".jpg"])
    header, rows = {
        "table": ("class count", [(name, count) for name, count in found.items()]),
        "uniq": ("count class", [(f"{count:7}", name) for name, count in found.items()]),
        "labels": ("label", [(name,) for name in labels]),
        "split": ("path label", [(f"x{k}{suffix}", name) for k, name in enumerate(labels)]),
        "counts": ("count", [(count,) for count in found.values()]),
    }[form]
    headed = bool(rng.integers(2))
    rows = [tuple(header.split())] * headed + rows
    text = io.StringIO()
    if mark == " " or form in ("uniq", "labels", "counts"):
        text.write("".join(" ".join(map(str, row)) + "\n" for row in rows))
    else:
        csv.writer(text, delimiter=mark).writerows(rows)
    return (str(form), headed), text.getvalue(), found


def test_whatever_is_read_is_what_was_written(monkeypatch, rng):
    """Random small files of every form are read as they were written, or refused: most with a header are read."""
    outcome = collections.Counter()
    for _ in range(4000):
        form, text, found = _random_file(rng)
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text.encode())))
        try:
            assert read("-") == found, text
            outcome[form] += 1
        except ValueError:
            outcome["refused", *form] += 1
    print(outcome)
    for form in ("table", "uniq", "labels", "split", "counts"):
        assert outcome[form, True] > 2 * outcome["refused", form, True]


def test_the_example_is_a_long_tail():
    counts = read(Path(__file__).parent.parent / "examples" / "counts.csv")
    assert len(counts) == 10
    assert max(counts.values()) == 100 * min(counts.values())


@pytest.mark.parametrize("form", ["line{k}\n", "line{k}.jpg {m}\n", "line{k},{k}7\n"])
def test_reading_is_linear(tmp_path, form):
    path = tmp_path / "a"
    seconds = []
    for lines in (16_000, 64_000):
        path.write_text("".join(form.format(k=k, m=k % 100) for k in range(lines)) * (2 if form == "line{k}\n" else 1))
        begin = time.perf_counter()
        read(path)
        seconds.append(time.perf_counter() - begin)
    print(f"{form!r}: {seconds[0]:.2f} s, {seconds[1]:.2f} s")
    assert seconds[1] < 2  # quadratic: 13.6 s


def test_a_line_that_is_no_text_is_named_beyond_the_first_block(tmp_path):
    for good, bad in ((b"a\nb\n", b"\xff\n"), (b"a.png 1\na.png 0\n", b"\xff.png 0\n")):
        (tmp_path / "a").write_bytes(good * 50_000 + bad)
        with pytest.raises(ValueError, match=r"line 100001: b'\\xff.*not text"):
            read(tmp_path / "a")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(OSError, match=r"nowhere\.csv: No such file"):
        read(tmp_path / "nowhere.csv")
    with pytest.raises(OSError, match="Is a directory"):
        read(tmp_path)


def test_sequences_and_mappings():
    names, counts = class_counts({"a": 3, 5: 1})
    assert names == ("a", "5")
    assert counts.tolist() == [3, 1]
    names, counts = class_counts(np.array([4.0, 2.0]))
    assert names == ("0", "1")
    assert counts.dtype == np.int64
    assert class_counts([1, 2], ["x", "y"])[0] == ("x", "y")
    assert class_counts({"0": 1, "1": 2}, ["x", "y"])[0] == ("x", "y")
    assert class_counts(collections.Counter("abracadabra"))[0] == tuple("abrcd")
    assert class_counts(np.ma.array([4, 2]))[1].tolist() == [4, 2]
    assert class_counts(iter([4, 2]))[1].tolist() == [4, 2]


def test_names_of_pandas_and_xarray_are_kept():
    labels = pd.Series([7] * 900 + [2] * 30 + [5] * 4)
    names, counts = class_counts(labels.value_counts())
    assert names == ("7", "2", "5")
    assert counts.tolist() == [900, 30, 4]
    assert class_counts(labels.astype("category").value_counts())[0] == names
    assert class_counts(labels.value_counts().astype("Int64"))[1].tolist() == [900, 30, 4]
    array = xr.DataArray([900, 30], dims="class", coords={"class": ["cat", "dog"]})
    assert class_counts(array)[0] == ("cat", "dog")
    assert class_counts(xr.DataArray([900, 30], dims="k", coords={"class": ("k", ["cat", "dog"])}))[0] == ("cat", "dog")
    assert class_counts(xr.DataArray([900, 30], dims="k"))[0] == ("0", "1")
    assert class_counts(pd.Series([900, 30]), ["cat", "dog"])[0] == ("cat", "dog")


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
        ([[1, 2], [3]], None, "different lengths"),
        (["3", "4"], None, "whole numbers"),
        ([True, True], None, "whole numbers"),
        ([3, 2**70], None, "whole numbers .* object"),
        (5, None, "counts must be .* got 5"),
        (np.int64(5), None, r"counts must be .* got np.int64\(5\)"),
        (np.array(5), None, r"ndarray of shape \(\)"),
        (None, None, "counts must be .* got None"),
        (b"counts.csv", None, "counts must be .* path of a file; got b'counts.csv'"),
        ({3, 4}, None, r"counts must be .* got \{3, 4\}"),
        (pd.DataFrame({"n": [3, 4]}), None, r"DataFrame of shape \(2, 1\)"),
        (xr.DataArray([[3, 4]]), None, r"DataArray of shape \(1, 2\)"),
        (pd.Series([3, None], ["a", "b"]), None, r"counts\[1\] = nan"),
        (
            xr.DataArray([3, 4], dims="k", coords={"a": ("k", [1, 2]), "b": ("k", [3, 4])}),
            None,
            "coordinates a, b",
        ),
        (np.ma.array([900, 30, 10**6], mask=[0, 0, 1]), None, r"masked entries: .* counts.compressed\(\)"),
        ([3, 4], np.ma.array(["a", "b"], mask=[0, 1]), "names has masked entries"),
        ([3, 4], ["a"], "names has 1"),
        ([3, 4], ["a", "a"], "'a' more than once"),
        ([3, 4], 5, "names must be .* got 5"),
        ([3, 4], "ab", "names must be .* got 'ab'"),
        ([3, 4], {"a": 1, "b": 2}, "names must be"),
        ({"1": 2, 1: 3}, None, "'1' more than once"),
        ({"a": 2, "b": 3}, ["x", "y"], "names come with counts"),
        (pd.Series([3, 4], ["a", "b"]), ["x", "y"], "names come with counts"),
        (pd.Series([3, 4, 7], ["a", "b", "All"]), None, "'All'.* is the sum of all other counts"),
    ],
)
def test_bad_sequences(counts, names, named):
    with pytest.raises(ValueError, match=named):
        class_counts(counts, names)


def test_values_with_names_go_by_name():
    labels = ("7", "2", "5")
    named = pd.Series([0.1, 0.2, 0.7], [2, 5, 7])
    coordinate = xr.DataArray(named.to_numpy(), dims="k", coords={"k": [2, 5, 7]})
    for values in (named, named.to_dict(), coordinate):
        assert by_class("weights", values, labels).tolist() == [0.7, 0.1, 0.2]
    for values in (None, [0.7, 0.1, 0.2], np.array([0.7, 0.1])):
        assert by_class("weights", values, labels) is values
    assert by_class("weights", pd.Series([0.7, 0.1, 0.2]), labels).tolist() == [0.7, 0.1, 0.2]
    assert by_class("weights", pd.Series([3, 5, 4]), ("2", "0", "1")).tolist() == [4, 3, 5]
    with pytest.raises(ValueError, match=r"weights must name each class once.*'5' does not fit"):
        by_class("weights", named[[2, 7]], labels)
    with pytest.raises(ValueError, match="'9' does not fit"):
        by_class("weights", {7: 1, 5: 1, 2: 1, 9: 1}, labels)


def test_names_cut_short_are_told_apart():
    names = ["cat", "cat", "x" * 20, "x" * 16 + "tail", "x" * 8 + "mid" + "x" * 9, "x" * 8 + "dim" + "x" * 9, "y" * 20]
    shown = told_apart(dict(enumerate(names)), 15)
    assert len(set(shown.values())) == len(names)
    assert max(map(len, shown.values())) <= 15
    assert (shown[3], shown[6]) == ("x" * 7 + "…" + "xxxtail", "y" * 14 + "…")
    assert told_apart({7: "a\tb", 8: "a b", 9: "\x1b[0m"}, 15) == {7: "a b…7", 8: "a b…8", 9: "?[0m"}


@pytest.mark.parametrize("rows", [10**6, pytest.param(10**7, marks=pytest.mark.slow)])
def test_label_files_are_streamed(tmp_path, rows):
    path = tmp_path / "labels.txt"
    label = np.random.default_rng(0).geometric(0.02, 10**5)
    path.write_text("".join(f"class {k}\n" for k in label) * (rows // label.size))
    begin = time.perf_counter()
    tracemalloc.start(1)
    found = read(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"{rows} labels: {time.perf_counter() - begin:.1f} s, peak {peak / 2**20:.1f} MiB")
    assert sum(found.values()) == rows
    assert found["class 1"] == np.sum(label == 1) * (rows // label.size)
    assert peak < 2**24
