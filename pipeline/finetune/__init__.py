"""`bertctl finetune`: an encoder and a labelled file turned into a task model."""
