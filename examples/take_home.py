"""The network that a search settled on, trained into one file and used.

In a terminal the same is ``zonesearch train runs/digits --out digits.pt``.
"""

from pathlib import Path

import torch
from sklearn.datasets import load_digits

from zonesearch import load_network, read_study, run_pipeline
from zonesearch.cli.main import main

STUDY = """
name = "digits"
[space]
width = [16, 32, 64]
learning_rate = [0.003, 0.01]
[data]
name = "digits"
[training]
epochs = 6
[interval]
method = "split(2)"
[polish]
schedules = ["constant", "cosine"]
keep = 2
repeats = 3
"""

if __name__ == "__main__":
    Path("digits.toml").write_text(STUDY)
    result = run_pipeline(read_study("digits.toml"), into="runs/digits")
    print(result.verdict.sentence if result.verdict else "no verdict")

    # the recommended setting as the search trained it; then three seeds on all that is not for testing
    main(["train", "runs/digits", "--out", "digits.pt", "--toml", "winner.toml"])
    main(["train", "runs/digits", "--all-data", "--ensemble", "3", "--out", "three.pt"])

    images, labels = load_digits(return_X_y=True)
    for file in ("digits.pt", "three.pt"):
        network = load_network(file)
        answers, chances = network.predict(images), network.predict_proba(images)
        right = (answers == labels).mean()
        print(f"{file}: {right:.1%} of all images right; the first is a {answers[0]} ({chances[0].max():.0%})")

    # the module is plain torch, its normalisation inside
    network = load_network("digits.pt")
    with torch.no_grad():
        print(network.module(network.prepare(images[:5])).argmax(1).tolist(), "of", labels[:5].tolist())
    print(dict(network.setting), "is", network.about["is"])
