.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo test test-slow check bench docs smoke help clean

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "bertctl needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]' --constraint constraints.txt
	@touch $@

setup: $(READY)  ## make .venv with everything pinned in constraints.txt
	@echo "ready: source .venv/bin/activate"

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

test: $(READY)  ## the tests: no network, no GPU, no data from outside
	$(BIN)/python -m pytest -m 'not slow' --numprocesses auto --dist loadfile

test-slow: $(READY)  ## the tests that take longer
	$(BIN)/python -m pytest -m slow

check: $(READY) build/types  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

# The demo: docstrings of this Python to a vocabulary, shards, an encoder, and a classifier of 12 packages.
DEMO := demo
FINETUNE := --task sequence-classification --train $(DEMO)/corpus/train.tsv --validation $(DEMO)/corpus/validation.tsv \
  --test $(DEMO)/corpus/test.tsv --text-column text --label-column label --max-seq-length 64 --epochs 15 --batch-size 16 \
  --learning-rate 1e-3 --dropout-prob 0.1 --seeds 3

demo: $(READY)  ## raw text to a fine-tuned encoder, in about ten minutes
	@$(BIN)/python examples/docstrings/harvest.py --output $(DEMO)/corpus
	@$(BIN)/bertctl vocab $(DEMO)/corpus/text --vocab-size 8000 --output $(DEMO)/vocab
	@$(BIN)/bertctl shard $(DEMO)/corpus/text --vocab $(DEMO)/vocab --max-seq-length 64 --dupe-factor 10 --output $(DEMO)/shards
	@$(BIN)/bertctl pretrain $(DEMO)/shards --model tiny --hidden-dropout-prob 0 --attention-probs-dropout-prob 0 \
	  --steps 8000 --batch-size 32 --learning-rate 1e-3 --warmup-proportion 0.05 --output $(DEMO)/pretrained
	@$(BIN)/bertctl finetune $(FINETUNE) --model $(DEMO)/pretrained --output $(DEMO)/finetuned
	@$(BIN)/bertctl finetune $(FINETUNE) --model random:tiny --vocab $(DEMO)/vocab --output $(DEMO)/finetuned-random
	@$(BIN)/python examples/docstrings/bag_of_words.py --data $(DEMO)/corpus --output $(DEMO)/bag-of-words.json
	@$(BIN)/python examples/docstrings/table.py --pretrained $(DEMO)/finetuned/metrics.json \
	  --random $(DEMO)/finetuned-random/metrics.json --bag-of-words $(DEMO)/bag-of-words.json

bench: $(READY)  ## the benchmarks, each beside its reference
	$(BIN)/python benchmarks/corpus.py
	$(BIN)/python benchmarks/vocabulary.py
	$(BIN)/python benchmarks/tokenise.py
	$(BIN)/python benchmarks/scaling.py
	$(BIN)/python benchmarks/reading.py
	$(BIN)/python benchmarks/pretrain_step.py
	$(BIN)/python benchmarks/finetune.py

docs: $(READY)  ## the documentation as a site, in build/docs; a link that leads nowhere ends it
	$(BIN)/python docs/reference.py
	$(BIN)/sphinx-build -W --keep-going -q -c docs/site -d build/doctrees . build/docs
	@echo "build/docs/index.html"

smoke: $(READY)  ## build the release, install it where nothing else is, use it
	$(BIN)/python .ci/smoke.py

# Type checkers follow folders, not the package mapping: show them the names that are imported.
build/types:
	mkdir -p $@/bertctl
	for each in cli pipeline model; do ln -sfn ../../../$$each $@/bertctl/$$each; done
	ln -sfn ../../../cli/package/__init__.py $@/bertctl/__init__.py

clean:  ## remove what set-up and builds made (never an output directory)
	rm -rf .venv build dist *.egg-info
