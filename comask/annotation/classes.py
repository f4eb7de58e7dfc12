"""Names of classes, as they are compared between a checkpoint and a dataset."""


def plain(name: str) -> str:
    """Write a class's name as it is compared: case and underscores do not count."""
    return name.replace("_", " ").casefold().strip()
