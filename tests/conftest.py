"""What every test process does first."""

from eradio.profile.engines import load_engine

# Whoever imports OpenVINO first decides whether it reports home and writes into the home folder; the engine sees to it
# that it does not, so it must come before any test module that imports the library itself.
load_engine("openvino")
