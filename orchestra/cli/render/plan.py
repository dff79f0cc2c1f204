"""A plan as text and as JSON."""

from __future__ import annotations

import json

from orchestra.cli.render.terminal import printable
from orchestra.planner.plan import Plan
from orchestra.planner.steps import Step


def render_text(plan: Plan[Step]) -> str:
    """Return the plan's lines and a count; a sentence when there is nothing to do."""
    if plan.empty:
        return "nothing to do: everything is as it should be\n"
    lines = [printable(line) for line in str(plan).splitlines()]
    count = len(plan.steps)
    lines.append(f"{count} step{'s' if count != 1 else ''}")
    if plan.destroys_data:
        lines.append("this plan destroys data")
    return "\n".join(lines) + "\n"


def render_json(plan: Plan[Step]) -> str:
    """Return the plan as one JSON document."""
    return json.dumps(plan.to_json(), indent=2) + "\n"
