"""The examples in docstrings print what they say they print."""

import doctest
import importlib
import pkgutil

import pytest

import lpmjax


def examples():
    """Every docstring of the library that has an example, by name."""
    names = ["lpmjax", *(module.name for module in pkgutil.walk_packages(lpmjax.__path__, "lpmjax."))]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    found = {test.name: test for module in modules for test in doctest.DocTestFinder().find(module) if test.examples}
    assert {"lpmjax", "lpmjax.sweeps.sweep.sweep"} <= set(found)
    return [pytest.param(test, id=name) for name, test in found.items()]


@pytest.mark.parametrize("test", examples())
def test_examples_in_docstrings(test):
    assert doctest.DocTestRunner().run(test) == (0, len(test.examples))
