"""Classification by captions alone."""

from torch import Tensor
from torch.nn.functional import normalize

from eradio.interval import Interval, bootstrap_interval, mean


def zero_shot(summaries: Tensor, class_embeddings: Tensor, labels: Tensor) -> Interval:
    """Top-1 accuracy of the class whose caption's embedding is nearest by cosine (arXiv 2103.00020, section 3.1).

    Args:
        summaries: [N, C] image embeddings: CLIP's, or a student's CLIP head's.
        class_embeddings: [K, C] one text embedding for each class.
        labels: [N] int true classes.

    Returns:
        The share of right answers, 0 to 1, with its bootstrap interval over the pictures.
    """
    scores = normalize(summaries.float(), dim=1) @ normalize(class_embeddings.float(), dim=1).T
    return bootstrap_interval((scores.argmax(1) == labels).double().numpy(), mean)
