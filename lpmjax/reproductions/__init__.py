"""Figures and tables of the founding papers, a module each.

A module ``fang_cosine`` with a :class:`lpmjax.reproduction.Reproduction` named ``REPRODUCTION`` is ``fang-cosine`` to
:func:`lpmjax.reproduce`, ``lpmjax reproduce`` and the page of claims: adding one is adding its file.
"""
