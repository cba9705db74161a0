"""`make demo`: the main job from an empty directory to a signed process running on an atom."""
