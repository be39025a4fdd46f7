"""The training itself: two phases that can be interrupted, on whatever devices there are."""
