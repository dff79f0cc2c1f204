"""What is noted beside an image's name in the store."""

BUILD_HASH = "org.orchestra.build-hash"
"""Annotation of a reference in the store: what the image was built from."""
PULLED_AT = "org.orchestra.pulled-at"
"""Annotation of a reference in the store: when a registry was last asked for it."""
