"""Figures and tables of the founding papers: their numbers, files, errors, and that one more is one more file."""

import dataclasses
import json

import jax
import pytest
import xarray as xr
from command_line import run
from matplotlib import pyplot

import lpmjax as lpm
from lpmjax import reproductions
from lpmjax.claims import page
from lpmjax.reproduce import described, names
from lpmjax.reproduction import Check

#: the first takes two seconds; the last, a minute, is `lpmjax reproduce garrod-keating`
QUICK, LONG = "thrampoulidis-seli", "garrod-keating"

OUTSIDE = """
from lpmjax.reproduction import Check, Claim, Reproduction


def compute():
    import xarray as xr

    return xr.Dataset({"half": 0.5})


def checks(ds):
    return [Check("half", float(ds["half"]), "EXPECTED")]


def draw(ds):
    from matplotlib import pyplot

    return pyplot.figure()


REPRODUCTION = Reproduction(
    "a half", "nobody 2026", "none", "nothing", compute, checks, draw, (Claim("Half is | a half", "nobody"),)
)
"""


@pytest.fixture(autouse=True)
def _close():
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def quick():
    return lpm.reproduce(QUICK)


@pytest.fixture
def outside(request, tmp_path, monkeypatch):
    """A reproduction from a folder of its own, of which the number is that of the parameter."""
    (tmp_path / f"of_{request.node.callspec.id.replace('.', '_')}.py").write_text(
        OUTSIDE.replace("EXPECTED", request.param)
    )
    monkeypatch.setattr(reproductions, "__path__", [*reproductions.__path__, str(tmp_path)])
    return f"of-{request.node.callspec.id.replace('.', '-')}"


@pytest.mark.parametrize("name", names())
def test_every_one_says_what_it_is_and_claims_something(name):
    of = described(name)
    assert all(of.words().values()) and of.claims
    assert all(claim.statement and claim.source for claim in of.claims)


@pytest.mark.parametrize(
    ("found", "expected", "ok"),
    [
        (0.26167703864, "0.2616770386", True),
        (0.2616770388, "0.2616770386", False),
        (5.76621226, "5.76622", False),
        (5.0, "5", True),
        (6.0, "5", False),
        (1.26e-5, "1.3e-5", True),
        (1.2e-5, "1.3e-5", False),
        (-0.4999, "-.500", True),
        (float("nan"), "0.0", False),
    ],
)
def test_numbers_agree_to_every_digit(found, expected, ok):
    assert Check("", found, expected).ok is ok


def test_a_reproduction_is_data_picture_and_numbers(quick, tmp_path):
    assert quick.ok, str(quick)
    paths = quick.write(tmp_path / "new")
    assert [path.name for path in paths] == [f"{QUICK}.nc", f"{QUICK}.png"]
    with xr.open_dataset(paths[0]) as ds:
        assert ds.attrs["reproduction_setting"] == quick.of.setting
        assert described(QUICK).checks(ds.load())[0].ok
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    assert quick.record()["ok"] and str(quick).count("ok   ") == len(quick.checks)


def test_a_picture_does_not_depend_on_the_precision_of_the_caller(quick):
    with jax.enable_x64(False):
        assert len(quick.figure().axes) == 8  # three matrices with a colour bar each, two panels


@pytest.mark.parametrize("change", [{"w_norm2": 1.001}, {"status": 0}, {"cosine": -1}])
def test_wrong_data_does_not_pass(quick, change):
    ((variable, factor),) = change.items()
    wrong = quick.data.copy()
    wrong[variable] = wrong[variable] + 1 if factor == 0 else wrong[variable] * xr.DataArray([1, factor], dims="group")
    checks = tuple(quick.of.checks(wrong))
    assert not dataclasses.replace(quick, checks=checks).ok
    assert not dataclasses.replace(quick, checks=()).ok


@pytest.mark.parametrize("outside", ["0.500"], indirect=True)
def test_one_more_is_one_more_file(outside, capsys, tmp_path):
    assert outside in names()
    code, out, _ = run(capsys, "reproduce", outside, "--out", tmp_path / "out", "--json")
    record = json.loads(out)[0]
    assert code == 0 and record["ok"] and record["checks"][0]["found"] == 0.5
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{outside}.nc", f"{outside}.png"]
    assert rf"| Half is \| a half | nobody | reproduced | `lpmjax reproduce {outside}` |  |" in page()


@pytest.mark.parametrize("outside", ["0.501"], indirect=True)
def test_a_number_that_differs_is_an_exit_code(outside, capsys, tmp_path):
    code, out, err = run(capsys, "reproduce", outside, "--out", tmp_path)
    assert code == 1 and "DIFFERS  half: 0.5, expected 0.501" in out and f"not reproduced: {outside}" in err


def test_the_command_lists_and_refuses(capsys, tmp_path):
    code, out, _ = run(capsys, "reproduce", "--list")
    assert code == 0 and all(name in out for name in names()) and max(map(len, out.splitlines())) <= 80
    code, out, _ = run(capsys, "reproduce", "--list", "--json")
    assert [entry["name"] for entry in json.loads(out)] == names()
    for arguments in ((), ("--all", "--list"), (QUICK, "--all")):
        code, _, err = run(capsys, "reproduce", *arguments)
        assert code == 2 and "one of the three" in err
    code, _, err = run(capsys, "reproduce", QUICK, "fang", "--out", tmp_path)
    assert code == 2 and "name = 'fang' is unknown: choose from dang-depth, " in err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in names() if name not in (QUICK, LONG)])
def test_every_number_agrees(name):
    found = lpm.reproduce(name)
    assert found.ok, str(found)
    found.figure().canvas.draw()
    for variable in found.data.data_vars:  # every variable that is checked is checked to some per cent
        changed = found.data.assign({variable: found.data[variable] * 1.1 + 0.01})
        if not all(check.ok for check in found.of.checks(changed)):
            break
    else:
        pytest.fail("no variable is checked")
