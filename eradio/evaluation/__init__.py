"""What features can do: small functions, tensors in, an interval over pictures out."""

from eradio.evaluation.knn import knn
from eradio.evaluation.masks import box_masks, boxes_of, filled_boxes
from eradio.evaluation.segmentation import grouped, segmentation
from eradio.evaluation.zero_shot import zero_shot

__all__ = ["box_masks", "boxes_of", "filled_boxes", "grouped", "knn", "segmentation", "zero_shot"]
