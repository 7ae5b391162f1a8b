"""A local page in which two groups of classes are looked at, and counts of classes diagnosed (``lpmjax explore``).

What the page shows are pure functions from parameters to JSON (``picture``, ``diagram``, ``diagnosis``); ``server``
hands them out. The server is Python's own and the page plain JavaScript without a build step, so that it works offline
and asks for no package. Panel was measured and would have been fast enough (its server answers after 0.9 s, a slider
after 9 ms), but everything looked at here, a point that is dragged, a frame that is turned, a file that is dropped, and
what is refused, would have been written beside it, over 400 MB of packages.
"""
