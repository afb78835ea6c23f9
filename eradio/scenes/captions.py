"""Pictures in words."""

from eradio.scenes.kinds import KINDS
from eradio.scenes.layout import Layout, relations


def caption(layout: Layout) -> str:
    """One object by name, two with their relation, more as a list, in the layout's order."""
    names = [KINDS[placed.kind].caption for placed in layout.objects]
    if len(names) == 1:
        return names[0]
    if len(names) == 2:
        ((_, told_from_second, _),) = relations(layout)
        return f"{names[0]} {told_from_second.converse} {names[1]}"
    return f"{', '.join(names[:-1])} and {names[-1]}"
