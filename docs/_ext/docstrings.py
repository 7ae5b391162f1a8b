"""Docstrings with numpy's sections as definition lists, for autodoc.

Types are not split off: in this library what follows the colon of a parameter is words, not a type.
"""

import re

_SECTIONS = {"Parameters", "Returns", "Raises", "Attributes", "Yields"}


def converted(lines: list[str]) -> list[str]:
    """The lines with every section's underlined name as a rubric, and its entries as definitions."""
    out, section, following = [], None, iter(range(len(lines)))
    for i in following:
        line = lines[i]
        if line.strip() in _SECTIONS and i + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[i + 1].strip()):
            section = line.strip()
            out += ["", f".. rubric:: {section}", ""]
            next(following)
        elif section is None or not line.strip() or line.startswith(" "):
            out.append(line)
        elif re.match(r"Source|Everything|See ", line):
            section = None
            out += ["", line]
        else:
            out += _entry(line, section)
    return out


def _entry(line: str, section: str) -> list[str]:
    """``name : words`` as a term and the beginning of its definition; other lines as they are."""
    name, colon, words = line.partition(" : ")
    if colon and section in ("Parameters", "Attributes"):
        return ["", f"``{name}``", f"    {words}"]
    if section == "Raises":
        return ["", f"``{line}``"]
    return [line]


def _process(app, what, name, obj, options, lines):
    lines[:] = converted(lines)


def setup(app):
    """Sphinx calls it."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True}
