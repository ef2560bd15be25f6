"""Run the command line as `python -m bertctl`."""

from bertctl.cli.main import main

if __name__ == "__main__":
    main()
