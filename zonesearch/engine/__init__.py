"""Where things run and where they are kept: the only part with side effects.

``runner`` (processes) and ``dask_runner`` (machines) train bundles; ``run_folder`` and ``store`` keep trials as files;
``shards`` and ``merge`` split work between machines and bring it together; ``optuna_view`` shows trials as an Optuna
study and ``optuna_import`` reads one. The optional libraries are imported only by the module that needs them.
"""
