"""Annotations of shapes and dtypes are true of what is traced, batched and returned, and a wrong one is found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
#: the tests of bad arguments hand over what the annotations exclude, and factors are made on the host
SELECTION = ["-k", "not errors_say_what_to_do and not factors and not dim_is_enough", str(HERE / "test_solve.py")]


def run_checked(package: Path, *selection: str) -> subprocess.CompletedProcess:
    """Tests of a copy of the library whose annotations are checked at every call."""
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider"]
    command += ["--jaxtyping-packages=lpmjax,runtime_types.checked", *selection]
    environment = os.environ | {"PYTHONPATH": str(package)}
    # From its folder: `python -m` puts the current one first.
    return subprocess.run(command, cwd=package, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_annotations_are_true():
    ended = run_checked(HERE.parent, *SELECTION)
    assert ended.returncode == 0, ended.stdout[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("problems/layer_peeled.py", 'budget(self) -> Float[Array, "*batch"]', 'budget(self) -> Float[Array, "2"]'),
        ("results/logits.py", 'between: Float[Array, "*batch G G"]', 'between: Float[Array, "*batch G"]'),
        ("results/result.py", 'status: Int8[Array, "*batch"]', 'status: Int[Array, "*batch 2"]'),
    ],
)
def test_a_wrong_annotation_is_found(file, right, wrong, tmp_path):
    package = shutil.copytree(HERE.parent / "lpmjax", tmp_path / "lpmjax", ignore=shutil.ignore_patterns("__pycache__"))
    text = (package / file).read_text()
    assert right in text
    (package / file).write_text(text.replace(right, wrong))
    ended = run_checked(tmp_path, "-k", "lanes_do_not_touch or data_sets_in_the_caller", SELECTION[-1])
    assert ended.returncode == 1
    assert "TypeCheckError" in ended.stdout
