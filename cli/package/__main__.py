"""Run the command line as `python -m bertctl`."""

from bertctl.cli.entry import main

if __name__ == "__main__":
    main()
