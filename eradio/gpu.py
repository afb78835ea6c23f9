"""Whether this process can still use its GPU."""

import torch


def gpu_lost() -> str | None:
    """Why it cannot, as after a kernel that reached outside its memory; None if it can, or has used none.

    Such an error stays until the process ends: every later call fails, whoever makes it.
    """
    if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return None
    try:
        torch.cuda.synchronize()
    except RuntimeError as error:
        return str(error).strip().partition("\n")[0]
    return None
