"""Classify the frames of a source without end: what is kept alive, decided, and told to whom.

- :mod:`.feed` grabs, decodes and prepares frames on threads of its own, and reopens the source;
- :mod:`.loop` infers, and gives each result to :mod:`.steady`, which decides the label that stands;
- :mod:`.outputs` are told of results and events, each on a thread of its own;
- :mod:`.status` is what all of them count, for whoever asks.
"""

from .loop import Loop, LoopSettings, classify_frames
from .results import Event, FrameResult, Steady

__all__ = ["Event", "FrameResult", "Loop", "LoopSettings", "Steady", "classify_frames"]
