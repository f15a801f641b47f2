"""The stages as an Optuna sampler, and what Optuna found as a run with zones and a report."""

import optuna

from zonesearch import ZoneSampler, load_run
from zonesearch.cli.main import main

STORAGE = "optuna.journal"


def objective(trial: optuna.Trial) -> float:
    x = trial.suggest_float("x", 0.0, 1.0)
    width = trial.suggest_int("width", 8, 64, log=True)
    return 0.9 - (x - 0.3) ** 2 - 0.001 * abs(width - 32)


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(STORAGE))
    study = optuna.create_study(
        study_name="zones", storage=storage, direction="maximize", sampler=ZoneSampler(seeds=1), load_if_exists=True
    )
    study.optimize(objective, n_trials=30)  # n_jobs=4, or several processes on one storage
    print("best so far:", study.best_params)
    main(["import", "--storage", STORAGE, "--study", "zones", "--into", "runs/from_optuna"])
    print("zones around", [zone.peak for zone in load_run("runs/from_optuna").zones])
