"""A graph of ordinary objects with sharing and cycles.

The Python image gets the text of this module as code: what is grown here, for `pickle`, and what is
grown in its workspace is the same.
"""


class Item:
    """Has a name that others share, and a list of peers that holds itself."""

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.peers: list[object] = [self, number]


def grown(count: int) -> list[object]:
    """COUNT objects, a multiple of five: in turns an item, a list, a dict, a tuple and a string.

    Every dict has one of the items before it too, and every tuple one of the dicts. The names have
    digits that cannot be guessed, as they would be compressed better than what people write.
    """
    objects: list[object] = []
    for number in range(count // 5):
        name = f"item {number * 2654435761 % 4294967296} of the graph"
        item = Item(name, number)
        earlier = objects[number // 2 * 5] if objects else item
        facts = {"name": name, "share": number / 4, "part of": earlier}
        objects += [item, item.peers, facts, (facts, number), name]
    return objects
