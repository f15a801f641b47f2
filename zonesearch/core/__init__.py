"""What everything speaks of: axes, spaces, metrics, trainings, trials; plain frozen data and the protocols."""
