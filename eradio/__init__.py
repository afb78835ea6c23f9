"""eradio: search for the most hardware-efficient student of several vision foundation models."""

__version__ = "0.1.0"
