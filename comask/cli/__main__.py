"""``python -m comask.cli`` is ``comask``."""

import sys

from comask.cli import main

if __name__ == "__main__":
    sys.exit(main())
