"""One way to train, for pretraining and fine-tuning: machine, steps, checkpoints, model files."""
