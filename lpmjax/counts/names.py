"""Names of classes cut to fit a table or a figure, and still told apart."""

import collections
from collections.abc import Mapping


def told_apart(names: Mapping[int, str], width: int) -> dict[int, str]:
    """The names by class number, on one line each and at most ``width`` characters.

    A long name loses its end; where that makes two the same, its middle; if need be its end, for the class number.
    """
    flat = {k: "".join(c if c.isprintable() else "?" for c in " ".join(name.split())) for k, name in names.items()}
    half = (width - 1) // 2

    def fit(name: str, cut: str) -> str:
        return name if len(name) <= width else cut

    shown = {k: fit(name, name[: width - 1] + "…") for k, name in flat.items()}
    for cut in (
        lambda k: fit(flat[k], flat[k][: width - 1 - half] + "…" + flat[k][-half:]),
        lambda k: f"{flat[k][: width - 1 - len(str(k))]}…{k}",
    ):
        times = collections.Counter(shown.values())
        shown = {k: cut(k) if times[name] > 1 else name for k, name in shown.items()}
    return shown
