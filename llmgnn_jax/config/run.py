"""`Config`: one run, checked as a whole."""

import math
import re
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Literal

from llmgnn_jax.config.held_out import check_cold_shares
from llmgnn_jax.config.node_task import check_node_task
from llmgnn_jax.config.sections import (
    DRAWN_NEGATIVES,
    DataConfig,
    EvaluationConfig,
    FusionConfig,
    GraphConfig,
    NodeConfig,
    ParallelConfig,
    RatingConfig,
    TextConfig,
    TrainConfig,
)
from llmgnn_jax.errors import UserError

TaskName = Literal["ranking", "rating", "node_classification"]
ModelName = Literal["graph", "text", "fused"]


@dataclass(frozen=True, kw_only=True)
class Config:
    """One run: data, models, training and evaluation."""

    recipe: str
    """The recipe's name."""
    task: TaskName = "ranking"
    """What is learned: which items a user likes, what value a user gives an item, or
    the classes of a graph's nodes."""
    seed: int = 0
    """Of the split, the initial parameters and every draw."""
    models: tuple[ModelName, ...] = ("graph", "text", "fused")
    """Which models are trained, in this order; the last one recommends."""
    data: DataConfig = field(default_factory=DataConfig)
    graph: GraphConfig = field(default_factory=GraphConfig)
    node: NodeConfig = field(default_factory=NodeConfig)
    rating: RatingConfig = field(default_factory=RatingConfig)
    text: TextConfig = field(default_factory=TextConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    parallel: ParallelConfig = field(default_factory=ParallelConfig)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.recipe):
            # It names a folder below runs/.
            raise UserError.field(
                "recipe",
                expected="letters, digits, '.', '_' and '-'",
                got=repr(self.recipe),
            )
        positive = {
            "graph.embedding_dim": self.graph.embedding_dim,
            "node.valid_size": self.node.valid_size,
            "node.test_size": self.node.test_size,
            "node.text_layers": self.node.text_layers,
            "graph.contrast_temperature": self.graph.contrast_temperature,
            "graph.filter_l2": self.graph.filter_l2,
            "graph.filter_rank": self.graph.filter_rank,
            "graph.filter_weight": self.graph.filter_weight,
            "graph.relation_weight": self.graph.relation_weight,
            "graph.filter_text_sharpness": self.graph.filter_text_sharpness,
            "fusion.alignment_temperature": self.fusion.alignment_temperature,
            "text.max_length": self.text.max_length,
            "text.learning_rate": self.text.learning_rate,
            "text.texts_per_step": self.text.texts_per_step,
            "text.refresh_every": self.text.refresh_every,
            "text.lora_rank": self.text.lora_rank,
            "text.lora_alpha": self.text.lora_alpha,
            "train.num_negatives": self.train.num_negatives,
            "train.batch_size": self.train.batch_size,
            "train.accumulate": self.train.accumulate,
            "train.learning_rate": self.train.learning_rate,
            "train.table_learning_rate": self.train.table_learning_rate,
            "train.steps": self.train.steps,
            "train.steps_per_call": self.train.steps_per_call,
            "train.validate_every": self.train.validate_every,
            "train.checkpoint_every": self.train.checkpoint_every,
            "train.keep_checkpoints": self.train.keep_checkpoints,
            "evaluation.memory_limit_mb": self.evaluation.memory_limit_mb,
            "parallel.model": self.parallel.model,
            "parallel.slack": self.parallel.slack,
            "parallel.row_slack": self.parallel.row_slack,
        }
        for name, value in positive.items():
            if not 0 < value < math.inf:
                raise UserError.field(name, expected="a number above 0", got=value)
        not_negative = {
            "seed": self.seed,
            "train.uniformity": self.train.uniformity,
            "train.popularity_power": self.train.popularity_power,
            "graph.num_layers": self.graph.num_layers,
            "graph.init_scale": self.graph.init_scale,
            "graph.temperature": self.graph.temperature,
            "graph.text_pull": self.graph.text_pull,
            "graph.contrast": self.graph.contrast,
            "graph.contrast_noise": self.graph.contrast_noise,
            "graph.rating_power": self.graph.rating_power,
            "graph.filter_text_l2": self.graph.filter_text_l2,
            "graph.spare_users": self.graph.spare_users,
            "graph.spare_items": self.graph.spare_items,
            "graph.spare_edges": self.graph.spare_edges,
            "rating.bias_l2": self.rating.bias_l2,
            "fusion.alignment": self.fusion.alignment,
            "fusion.anchor": self.fusion.anchor,
            "fusion.learning_rate_scale": self.fusion.learning_rate_scale,
            "train.half_life": self.train.half_life,
            "train.l2": self.train.l2,
            "train.weight_decay": self.train.weight_decay,
            "train.patience": self.train.patience,
            "node.train_per_class": self.node.train_per_class,
            "data.min_per_user": self.data.min_per_user,
            "data.min_per_item": self.data.min_per_item,
            "parallel.data": self.parallel.data,
            "parallel.groups": self.parallel.groups,
        }
        for name, value in not_negative.items():
            if not 0 <= value < math.inf:
                raise UserError.field(name, expected="0 or a number above", got=value)
        self._check_whole_numbers()
        least = self.data.min_value
        if least is not None and not math.isfinite(least):
            raise UserError.field(
                "data.min_value", expected="a number, or None", got=least
            )
        if self.seed >= 2**32:
            # JAX would drop the upper bits: another number, the same draws.
            raise UserError.field("seed", expected="below 2**32", got=self.seed)
        shares = {
            "data.valid_share": self.data.valid_share,
            "node.dropout": self.node.dropout,
            "fusion.modality_dropout": self.fusion.modality_dropout,
        }
        for name, value in shares.items():
            if not 0 <= value < 1:
                raise UserError.field(name, expected="a share in [0, 1)", got=value)
        if self.data.is_cold:
            check_cold_shares(
                "data",
                cold_share=self.data.cold_share,
                valid_share=self.data.valid_share,
                warm_share=self.data.warm_share,
                folds=self.data.folds,
                fold=self.data.fold,
            )
        if not self.models or len(set(self.models)) != len(self.models):
            raise UserError.field(
                "models",
                expected="different ones of graph, text, fused",
                got=" ".join(self.models) or "none",
            )
        if not self.evaluation.ks or min(self.evaluation.ks) < 1:
            raise UserError.field(
                "evaluation.ks", expected="cut-offs from 1 on", got=self.evaluation.ks
            )
        places = self.evaluation.new_places
        if places and (min(places) < 1 or len(set(places)) < len(places)):
            raise UserError.field(
                "evaluation.new_places",
                expected="different places from 1 on, or none",
                got=" ".join(map(str, places)),
            )
        names = ("recall", "ndcg", "mrr", "map", "hit", "precision")
        metrics = [f"{name}@{k}" for name in names for k in self.evaluation.ks]
        if self.task == "node_classification":
            metrics = ["accuracy", "macro_f1"]
            check_node_task(
                reads_texts=self.models != ("graph",),
                split=self.data.split,
                layer=self.graph.layer,
                node=self.node,
                text_mode=self.text.mode,
                baselines=self.evaluation.baselines,
            )
        elif self.task == "rating":
            metrics = ["rmse", "mae"]
            self._check_rating()
        if self.evaluation.metric not in metrics:
            raise UserError.field(
                "evaluation.metric",
                expected="one of " + ", ".join(metrics),
                got=repr(self.evaluation.metric),
            )
        if self.train.batch_size % self.train.accumulate:
            raise UserError.field(
                "train.accumulate",
                expected=f"a number that divides the batch of {self.train.batch_size}",
                got=self.train.accumulate,
            )
        if self.parallel.strategy == "pmap" and self.parallel.model != 1:
            raise UserError.field(
                "parallel.model",
                expected="1 with the strategy pmap, which copies all parameters",
                got=self.parallel.model,
                fix="choose --parallel.strategy mesh",
            )
        if self.parallel.strategy == "pmap" and self.parallel.parameters == "fsdp":
            raise UserError.field(
                "parallel.parameters",
                expected="replicated with the strategy pmap, which copies all of them",
                got="'fsdp'",
                fix="choose --parallel.strategy mesh",
            )
        if self.task == "ranking" and self.graph.layer not in ("lightgcn", "gcn"):
            raise UserError.field(
                "graph.layer",
                expected="lightgcn or gcn in the task ranking",
                got=self.graph.layer,
            )
        if self.graph.layer != "lightgcn" and not self.graph.num_layers:
            raise UserError.field(
                "graph.num_layers",
                expected=f"1 or more with the layer {self.graph.layer}",
                got=0,
                fix="choose --graph.layer lightgcn, which may have none"
                if self.task == "ranking"
                else "",
            )
        fanouts = self.graph.fanouts
        if fanouts and (
            len(fanouts) != self.graph.num_layers or not 0 < min(fanouts) <= 2**15
        ):
            raise UserError.field(
                "graph.fanouts",
                expected=f"a number from 1 on for each of the {self.graph.num_layers} "
                "layers, or none",
                got=" ".join(map(str, fanouts)),
                fix="change it, or --graph.num-layers",
            )
        if (
            self.graph.init == "text"
            and self.task != "node_classification"
            and self.models == ("graph",)
        ):
            raise UserError.field(
                "graph.init",
                expected="normal, xavier or spectral where no model reads texts",
                got="'text'",
                fix="choose one of these, or train --models graph fused",
            )
        if self.task != "rating":
            self._check_negatives()

    def _check_negatives(self) -> None:
        if self.graph.fanouts and self.train.negatives == "all":
            raise UserError.field(
                "train.negatives",
                expected=f"{_any_of(*DRAWN_NEGATIVES, 'in_batch')} where neighbours "
                "are drawn: all items' vectors need the whole graph",
                got="'all'",
                fix="choose one of these, or leave --graph.fanouts empty",
            )
        if self.train.loss == "bpr" and self.train.negatives == "all":
            raise UserError.field(
                "train.negatives",
                expected=f"{_any_of(*DRAWN_NEGATIVES, 'in_batch')} with the loss bpr",
                got="'all'",
                fix="choose one of these or --train.loss sampled_softmax",
            )
        if self.train.loss == "sampled_softmax" and self.train.negatives == "hard":
            raise UserError.field(
                "train.negatives",
                expected="uniform, popularity, in_batch or all with the loss "
                "sampled_softmax: the hardest of some draws estimates no sum over all "
                "items",
                got="'hard'",
                fix="choose one of these or --train.loss bpr",
            )
        if self.train.loss == "alignment_uniformity":
            self._check_alignment_uniformity()

    def _check_alignment_uniformity(self) -> None:
        if self.train.negatives != "in_batch":
            raise UserError.field(
                "train.negatives",
                expected="in_batch with the loss alignment_uniformity, which compares "
                "the rows of a batch",
                got=repr(self.train.negatives),
                fix="add --train.negatives in_batch",
            )
        if self.train.batch_size == self.train.accumulate:
            raise UserError.field(
                "train.batch_size",
                expected="two rows or more in each of the "
                f"{self.train.accumulate} parts, which the loss alignment_uniformity "
                "compares",
                got=self.train.batch_size,
            )

    def _check_whole_numbers(self) -> None:
        for section in fields(self):
            values = getattr(self, section.name)
            for item in fields(values) if is_dataclass(values) else ():
                value = getattr(values, item.name)
                if item.type is int and type(value) is not int:
                    raise UserError.field(
                        f"{section.name}.{item.name}",
                        expected="a whole number",
                        got=repr(value),
                    )

    def _check_rating(self) -> None:
        if self.data.min_value is not None:
            raise UserError.field(
                "data.min_value",
                expected="None in the task rating, which learns from low values too",
                got=self.data.min_value,
                fix="leave it out",
            )
        if self.graph.filter != "none":
            raise UserError.field(
                "graph.filter",
                expected="none in the task rating: its scores are of what is liked at "
                "all",
                got=repr(self.graph.filter),
                fix="add --graph.filter none",
            )


def _any_of(*names: str) -> str:
    return ", ".join(names[:-1]) + f" or {names[-1]}"
