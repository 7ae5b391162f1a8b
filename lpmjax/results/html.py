"""A result as HTML, for notebooks: its certificate in a sentence, above what the printed table says."""

from html import escape

from ..codes import Status


def as_html(text: str, bounds: tuple[float, float], tol: float, status: int) -> str:
    """The printed ``text`` of one result, of which the first line is the headline, with what its ``bounds`` prove.

    Certified, converged and failed results differ by sign and word, and not by colour alone.
    """
    headline, *rest = text.splitlines()
    between = "[{:.10g}, {:.10g}]".format(*bounds)
    if status == Status.certified:
        sign, words = (
            "&#10003;",
            f"certified to {tol:.2g}, relative: the global optimum lies in {between}",
        )
    elif status == Status.converged:
        sign, words = "&#9675;", f"converged: not proved optimal, the global optimum lies in {between}"
    else:
        sign, words = "&#10007;", f"{Status(status).name}: {Status.message(status)}"
    return (
        f"<div><strong>{escape(headline)}</strong><br>{sign} {escape(words)}"
        f"<pre style='line-height: 1.2'>{escape(chr(10).join(rest))}</pre></div>"
    )
