"""``python -m streamreid`` is the command line, also where no script was installed."""

from streamreid.cli import main

if __name__ == "__main__":
    main()
