"""Project -> DesiredState: the only package of the planner, and the last, that knows Compose."""

from orchestra.planner.compile.project import compile_project

__all__ = ["compile_project"]
