"""``python -m streamreid``."""

from streamreid.cli import main

if __name__ == "__main__":
    main()
