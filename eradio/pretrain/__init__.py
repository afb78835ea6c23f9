"""Training the three small teachers on the embedded world, each by its family's own objective."""

from eradio.pretrain.train import train

__all__ = ["train"]
