"""The embedded world: endless pictures of everyday objects, with captions and masks, drawn on demand."""

from eradio.scenes.dataset import Scene, Scenes
from eradio.scenes.kinds import KINDS, Kind
from eradio.scenes.splits import SPLITS

__all__ = ["KINDS", "SPLITS", "Kind", "Scene", "Scenes"]
