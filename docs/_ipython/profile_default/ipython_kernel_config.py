"""Of the kernels that execute the site's cells: no warning that they are reached by TCP."""

get_config().IPKernelApp.log_level = 40  # noqa: F821
