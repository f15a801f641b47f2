"""Controlled networks by kind: feed-forward, convolutional, torchvision's, and the user's own."""

from zonesearch.training.networks.building import build, check_network, n_parameters
from zonesearch.training.networks.dropout import dropout_generator, seed_dropout
from zonesearch.training.networks.factory import check_scores

__all__ = ["build", "check_network", "check_scores", "dropout_generator", "n_parameters", "seed_dropout"]
