"""The ``frys`` command, also as ``python -m gateway``.

Knows only that the command line needs the ``server`` extra, and says so where it is missing: the base install is the
SDK alone.
"""

try:
    from gateway.cli import main
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] == "gateway":
        raise
    raise SystemExit(
        f"frys: {error.name} is not installed; the command line needs: pip install 'frys-gateway[server]'"
    ) from None

if __name__ == "__main__":
    main()
