"""Counts of classes, from what callers hold and from files."""

from .files import read as read
from .given import Counts as Counts
from .given import class_counts as class_counts
