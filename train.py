"""Trains a recipe.

python train.py ml-100k
python train.py ml-100k --seed 1 --train.learning-rate 0.01 --out runs/mine
"""

import sys

from llmgnn_jax.cli import run_and_exit

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    run_and_exit()
