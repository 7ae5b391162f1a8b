"""The site: what would break its build, found without building it, and the settings that let nothing broken pass."""

import ast
import importlib
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import lpmjax
from proofs import THEOREMS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text() for path in sorted(DOCS.rglob("*.md"))}
WRITTEN_BY_PAGES = "".join(text for name, text in PAGES.items() if not name.startswith("theory/"))
EVALUATED_BY = runpy.run_path(str(DOCS / "_ext" / "evaluated_by.py"))["EVALUATED_BY"]


def cells(text):
    return [cell for cell in re.findall(r"^```\{code-cell\}\n(.*?)^```", text, re.S | re.M) if cell[:2] != "%%"]


def resolve(name):
    """The object of a dotted name: the longest prefix that is a module, then attributes."""
    parts = name.split(".")
    for i in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:i]))
        except ModuleNotFoundError:
            continue
        for part in parts[i:]:
            found = getattr(found, part)
        return found
    raise AttributeError(name)


def names_of(tree, alias):
    """Dotted names below ``alias`` in a program."""
    for node in ast.walk(tree):
        parts, at = [], node
        while isinstance(at, ast.Attribute):
            parts, at = [at.attr, *parts], at.value
        if parts and isinstance(at, ast.Name) and at.id == alias:
            yield ".".join(parts)


@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if cells(text)])
def test_cells_parse_and_name_what_exists(page):
    tree = ast.parse("".join(cells(PAGES[page])))
    for name in names_of(tree, "lpm"):
        resolve(f"lpmjax.{name}")


def test_a_name_that_does_not_exist_is_found():
    """The mutant of the test above."""
    names = list(names_of(ast.parse("x = lpm.boundary.merge(5, 5, 1.0)"), "lpm"))
    assert "boundary.merge" in names
    with pytest.raises(AttributeError):
        resolve("lpmjax.boundary.merge")


def test_references_in_text_name_what_exists():
    found = set(re.findall(r"\{py:\w+\}`~?(lpmjax[\w.]*)`", WRITTEN_BY_PAGES))
    assert len(found) > 20
    for name in found:
        resolve(name)


def test_every_link_between_pages_has_its_page():
    links = {(page, link) for page, text in PAGES.items() for link in re.findall(r"\]\(([\w/.]+\.md)[)#]", text)}
    missing = {(page, link) for page, link in links if not (DOCS / page).parent.joinpath(link).exists()}
    # The theory is written by the build.
    assert all("theory/" in link or page.startswith("theory/") for page, link in missing)


def test_every_public_name_is_on_a_page_of_the_api():
    api = "".join(text for name, text in PAGES.items() if name.startswith("api/"))
    documented = set(re.findall(r"auto\w+:: lpmjax\.([\w.]+)", api))
    public = {name for name in re.findall(r"^from .* import \w+ as (\w+)$", Path(lpmjax.__file__).read_text(), re.M)}
    assert public <= documented, public - documented
    for name in documented:
        resolve(f"lpmjax.{name}")


def test_every_theorem_is_linked_to_what_evaluates_it():
    assert list(EVALUATED_BY) == list(THEOREMS)
    assert all(EVALUATED_BY.values())
    for places in EVALUATED_BY.values():
        for name in places:
            resolve(name)
    links = set(re.findall(r"\(#theorem-([\w-]+)\)", WRITTEN_BY_PAGES))
    assert links <= {name.replace(".", "-").replace("_", "-") for name in THEOREMS}


def test_a_cell_that_raises_or_warns_breaks_the_build():
    """As tried with one of each; here the settings that make it so."""
    config = ast.parse((DOCS / "conf.py").read_text())
    given = {n.targets[0].id: n.value for n in config.body if isinstance(n, ast.Assign) and n.targets[0].id[0] != "_"}
    wanted = {
        "nb_execution_mode": "force",
        "nb_execution_raise_on_error": True,
        "nb_output_stderr": "remove-warn",
        "nitpicky": True,
    }
    assert {name: ast.literal_eval(given[name]) for name in wanted} == wanted
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"sphinx-build .*-E -W .*docs build/docs$", makefile, re.M)
    assert not re.search(r"allow_errors|raises-exception|suppress_warnings|intersphinx", (DOCS / "conf.py").read_text())
    assert "raises-exception" not in WRITTEN_BY_PAGES


def test_a_command_that_fails_fails_its_cell(monkeypatch, capsys):
    shell = SimpleNamespace(register_magic_function=lambda function, kind: None)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    sh = runpy.run_path(str(DOCS / "_ipython" / "profile_default" / "startup" / "shell.py"))["sh"]
    sh("", "echo said\n")
    assert capsys.readouterr().out == "said\n"
    with pytest.raises(subprocess.CalledProcessError):
        sh("", "false\necho after")


def test_sections_of_docstrings_become_definitions():
    converted = runpy.run_path(str(DOCS / "_ext" / "docstrings.py"))["converted"]
    given = ["Says.", "", "Parameters", "----------", "K, M : integers,", "    or lists.", "", "Raises", "------"]
    given += ["ValueError", "    For others.", "", "Source: a paper."]
    text = "\n".join(converted(given))
    assert "``K, M``\n    integers,\n    or lists." in text
    assert "``ValueError``\n    For others." in text
    assert text.endswith("\n\nSource: a paper.")
    assert "----" not in text
