"""CoMask instance segmentation: the model, its training, its evaluation and its files.

Importing this package loads nothing heavy; import the room that is needed, for example
``from comask.predict import Predictor``.
"""

__version__ = "0.1.0"
