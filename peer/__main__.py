"""The command `peer`, also as `python -m peer`."""

import sys

from peer.control.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
