"""The words of the ``ontoidps`` command, a module each: ``add_arguments`` and ``run``."""
