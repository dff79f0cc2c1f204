"""When an image is pulled again, and what ``pull`` fetches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.worlds import NOW

from orchestra.planner.desired import ImageSpec, PullPolicy
from orchestra.planner.observed import ObservedImage
from orchestra.planner.options import UpOptions
from orchestra.planner.resources import pull_asked, refresh

NOW_IMAGE = ObservedImage(reference="x:1", id="i", pulled_at=NOW - timedelta(hours=3))


@pytest.mark.parametrize(
    ("after", "pulled", "reason"),
    [
        (timedelta(hours=4), NOW_IMAGE.pulled_at, None),
        (timedelta(hours=2), NOW_IMAGE.pulled_at, "last pulled 2025-12-31 21:00 UTC"),
        (timedelta(hours=2), None, "last pulled nobody knows when"),
    ],
    ids=["fresh", "stale", "unknown"],
)
def test_an_image_is_pulled_again_when_its_time_is_over(after, pulled, reason):
    image = ImageSpec(reference="x:1", policy=PullPolicy.REFRESH, refresh_after=after)
    there = replace(NOW_IMAGE, pulled_at=pulled)
    step = refresh(image, "shop", there, UpOptions(), NOW)
    assert (step.reason if step else None) == reason
    assert refresh(image, "shop", there, UpOptions(pull=PullPolicy.MISSING), NOW) is None
    assert refresh(image, "shop", None, UpOptions(), NOW) is None


@pytest.mark.parametrize(
    ("image", "option", "asked"),
    [
        (ImageSpec(reference="x:1"), None, True),
        (ImageSpec(reference="x:1", policy_written=True), None, False),
        (ImageSpec(reference="x", policy_written=True), None, True),
        (ImageSpec(reference="x:1"), "missing", False),
        (ImageSpec(reference="x:1", policy=PullPolicy.NEVER), None, False),
        (ImageSpec(reference="x:1", policy=PullPolicy.NEVER), "always", True),
        (ImageSpec(reference="x:1", policy=PullPolicy.REFRESH), None, True),
    ],
)
def test_pull_heeds_policies(image, option, asked):
    assert bool(pull_asked(image, NOW_IMAGE, option)) is asked
    never = image.policy is PullPolicy.NEVER and option is None
    assert bool(pull_asked(image, None, option)) is not never
