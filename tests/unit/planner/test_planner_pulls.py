"""When an image is pulled again, and what ``pull`` fetches."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.worlds import NOW

from orchestra.planner.building import BuildSpec
from orchestra.planner.desired import ImageSpec, PullPolicy
from orchestra.planner.fingerprint import build_hash
from orchestra.planner.observed import ObservedImage, ObservedState
from orchestra.planner.options import UpOptions
from orchestra.planner.resources import images_here, pull_asked, refresh

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


@pytest.mark.parametrize(
    ("platform", "found"),
    [(None, "a"), ("linux/amd64", "a"), ("linux/arm64/v8", "b"), ("linux/s390x", None)],
)
def test_an_image_counts_as_the_platform_that_is_wanted(platform, found):
    there = ObservedImage(
        reference="x", id="a", platforms=(("linux/amd64", "a"), ("linux/arm64", "b"))
    )
    observed = ObservedState(project="shop", taken_at=NOW, images=(there,))
    images = images_here([ImageSpec(reference="x", platform=platform)], observed)
    assert {name: image.id for name, image in images.items()} == ({"x": found} if found else {})


@pytest.mark.parametrize(
    ("platform", "platforms", "expected"),
    [
        (None, ("linux/amd64", "linux/arm64"), ()),
        ("linux/arm64", ("linux/amd64", "linux/arm64"), ("linux/arm64",)),
        (None, ("linux/arm64",), ("linux/arm64",)),
    ],
)
def test_up_builds_for_the_platform_that_it_runs(platform, platforms, expected):
    """docker compose, applyPlatforms: `build` is for all, `up` for one."""
    build = BuildSpec(context="/c", dockerfile="/c/Dockerfile", platforms=platforms)
    image = ImageSpec(reference="x", platform=platform, build=build)
    step = refresh(image, "shop", None, UpOptions(build=True), NOW)
    assert step is not None
    assert step.image.build.platforms == expected
    hashes = {step.image.build_hash, build_hash(step.image.build)} - {""}
    assert build_hash(build) in hashes, "the next up sees no change of the build"
    whole = refresh(image, "shop", None, UpOptions(build=True, only_build=True), NOW)
    assert whole is not None
    assert whole.image.build.platforms == platforms
