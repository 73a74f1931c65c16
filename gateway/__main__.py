"""The ``frys`` command, also as ``python -m gateway``.

The base install has the SDK alone: where the ``server`` extra is missing, the command says how to install it.
"""

try:
    from gateway.cli import main
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] == "gateway":
        raise
    raise SystemExit(
        f"frys: {error.name} is not installed; install the command line with: pip install 'frys-gateway[server]'"
    ) from None

if __name__ == "__main__":
    main()
