"""Entry points for torch.hub: `torch.hub.load(REPOSITORY, "e_radio_b", source="local", num_classes=0)`."""

import timm as _timm

from eradio.search_space import timm_model as _timm_model

dependencies = ["torch", "timm", "pydantic", "yaml"]

for _name in _timm.list_models(module="timm_model"):
    globals()[_name] = getattr(_timm_model, _name)
