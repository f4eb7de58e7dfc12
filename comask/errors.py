"""Every error that the library raises on purpose, in one tree.

Each one also is the builtin that a caller would expect, and its message is one sentence: what was
found, what is accepted, what to do.
"""

from collections.abc import Iterable


class ComaskError(Exception):
    """Any refusal of the library; its text is fit for a person to read."""


class InputError(ComaskError, ValueError):
    """An argument, an image or a file's content is not what the function takes."""


class ConfigError(ComaskError, ValueError):
    """A setting is out of its range or contradicts another one."""


class ImageError(InputError):
    """A file is not an image that can be read, or is larger than is allowed."""


class AnnotationError(InputError):
    """A COCO file or one of its records is malformed; the message says where."""


class CheckpointError(ComaskError, ValueError):
    """A weights file is damaged, unsafe, or belongs to another model."""


class TrainingError(ComaskError, RuntimeError):
    """Training can't go on, for example because the loss is not finite."""


class StoreError(ComaskError, RuntimeError):
    """A store of runs can't be opened, read or written, or what it gave back is damaged."""


class ConflictError(ComaskError, RuntimeError):
    """Somebody else has changed what was to be changed; nothing was done.

    touched  what they changed since, by its uid
    actors   who did
    """

    def __init__(
        self, sentence: str, touched: Iterable[str] = (), actors: Iterable[str] = ()
    ) -> None:
        super().__init__(sentence)
        self.touched, self.actors = frozenset(touched), frozenset(actors)


class NetworkError(ComaskError, ConnectionError):
    """Another machine can't be reached, or does not answer as it should."""
