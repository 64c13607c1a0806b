"""`python -m saccade`: the same as `saccade`."""

from saccade.cli.main import main

if __name__ == "__main__":
    main()
