"""`python -m livecut`."""

from livecut.commands.main import main

if __name__ == "__main__":
    main()
