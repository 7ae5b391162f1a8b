"""Names in docstrings as users write them: `Separation` is `lpmjax.Separation` wherever it stands."""

from sphinx.util.nodes import make_refnode


def _by_its_end(app, env, node, contnode):
    """The one documented object whose name ends so; None, and so a warning, if there is none or several."""
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    ending = "." + node["reftarget"]
    found = {(entry.docname, entry.node_id) for name, entry in domain.objects.items() if name.endswith(ending)}
    if len(found) != 1:
        return None
    docname, anchor = found.pop()
    return make_refnode(app.builder, node["refdoc"], docname, anchor, contnode)


def setup(app):
    """Sphinx calls it."""
    app.connect("missing-reference", _by_its_end)
    return {"parallel_read_safe": True}
