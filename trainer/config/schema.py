"""The configuration of ``edge-train fit``: one validated, frozen object.

Values come from the defaults below, then the run that the training starts from, then a preset,
then a YAML file, then the options of the command line, then ``--set``, each over the one before.
"""

from __future__ import annotations

from typing import Annotated, Literal

from edge_runtime.manifest import PreprocessSpec

from .augment import AugmentConfig as AugmentConfig
from .types import (
    BeforeValidator,
    Count,
    Field,
    Fraction,
    LayerPlace,
    Number,
    PartShares,
    Pattern,
    Rate,
    Section,
    model_validator,
    on_off,
)


class DataConfig(Section):
    """How a folder of class folders is split; a folder with train/ and val/ is taken as it is."""

    #: Shares of train, val and test.
    ratios: PartShares = (0.8, 0.1, 0.1)
    #: Regular expression, searched in the file name (in the whole path if it has a slash): photos
    #: for which its first parentheses, or all of it, match the same text stay in one part. In a
    #: folder with train/ and val/, those that do not are warned of.
    group_by: Pattern | None = None


class ImageConfig(Section):
    """How a photo becomes the network's input, in training and on the device."""

    #: Width and height of the input, pixels, 32 or more; null: what the backbone's weights were
    #: made for, see ``edge-train backbones``.
    size: Annotated[int, Field(strict=True, ge=32, le=2048)] | None = None
    #: What happens to a photo that is not square: cut, distorted, or framed in black.
    fit: Literal["crop", "stretch", "pad"] = "crop"
    #: Resize kernel, anti-aliased.
    kernel: Literal["bilinear", "bicubic"] = "bilinear"

    def spec(self) -> PreprocessSpec:
        """The preprocessing rule that travels with the model; ``size`` must be filled in."""
        if self.size is None:
            raise ValueError("image.size is null: resolve the configuration first")
        return PreprocessSpec(self.size, self.size, fit=self.fit, kernel=self.kernel)


class ModelConfig(Section):
    """The network."""

    #: Name of the network, see ``edge-train backbones``.
    backbone: str = "efficientnetb0"
    #: ``imagenet`` (downloaded once by Keras), ``none`` (from scratch), or a weights file.
    weights: Annotated[str, Field(min_length=1)] = "imagenet"
    #: Run directory to start from in place of ``weights``: the backbone, and the head's columns of
    #: the classes that it knows. What is not set here or elsewhere is as that run had it.
    from_run: Annotated[str, Field(min_length=1)] | None = None
    #: Share of the pooled features that is left out at random while training.
    dropout: Annotated[Number, Field(ge=0, lt=1)] = 0.3
    #: Where in the backbone the second phase begins: 100 is the index of the first layer that it
    #: trains; 0.7 leaves the first 70 % of the layers as they are; block5 is the first layer whose
    #: name begins so; null: the backbone's own, see ``edge-train backbones``.
    fine_tune_at: LayerPlace | None = None


class PhaseConfig(Section):
    """What every training phase has."""

    #: Passes over the training photos; 0 leaves the phase out.
    epochs: Count
    #: Largest learning rate of Adam.
    learning_rate: Rate
    #: Epochs (or parts of one) in which the rate rises from 0 to ``learning_rate``.
    warmup_epochs: Annotated[Number, Field(ge=0)] = 0.0
    #: After the warm-up: ``cosine`` falls to ``final_rate`` of it, ``constant`` stays.
    schedule: Literal["constant", "cosine"] = "constant"
    #: Where the cosine ends, as a share of ``learning_rate``.
    final_rate: Fraction = 0.01
    #: Decoupled weight decay (AdamW) of kernels, 0 for none; biases and BatchNorm have none.
    weight_decay: Annotated[Number, Field(ge=0, le=1)] = 0.0
    #: Share of the target probability that is spread over all classes.
    label_smoothing: Annotated[Number, Field(ge=0, lt=1)] = 0.1
    #: Moving average of the weights: the share of it that a step keeps, such as 0.99; 0: none.
    #: Validation and the weights that are kept are then the average.
    ema: Annotated[Number, Field(ge=0, lt=1)] = 0.0


class HeadConfig(PhaseConfig):
    """Phase 1: the head on a frozen backbone, whose features are computed once."""

    epochs: Count = 8
    learning_rate: Rate = 5e-3
    #: Augmented views of each training photo beside the photo as it is; an epoch sees one of
    #: all these, in turn. Each costs a pass of the photos through the backbone.
    views: Annotated[int, Field(strict=True, ge=0, le=100)] = 1


class FinetuneConfig(PhaseConfig):
    """Phase 2: the backbone from ``model.fine_tune_at`` up, BatchNorm in inference mode."""

    epochs: Count = 10
    learning_rate: Rate = 2e-4
    warmup_epochs: Annotated[Number, Field(ge=0)] = 1.0
    schedule: Literal["constant", "cosine"] = "cosine"


class FullConfig(PhaseConfig):
    """The one phase of a training from scratch: everything is trained, BatchNorm included."""

    #: null: those of ``head`` and ``finetune`` together.
    epochs: Count | None = None  # type: ignore[assignment]  # null only here
    learning_rate: Rate = 2e-3
    warmup_epochs: Annotated[Number, Field(ge=0)] = 1.0
    schedule: Literal["constant", "cosine"] = "cosine"
    #: How much of BatchNorm's running mean a step keeps. Keras's 0.99 lags behind where an
    #: epoch has only dozens of steps.
    batchnorm_momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9


class LossConfig(Section):
    """What the training minimises."""

    #: ``crossentropy``, or ``focal``, which looks away from photos that are right already.
    name: Literal["crossentropy", "focal"] = "crossentropy"
    #: How far the focal loss looks away; 0 is the cross-entropy.
    focal_gamma: Annotated[Number, Field(ge=0, le=10)] = 2.0
    #: ``balanced``: a class with few photos counts as much as one with many.
    class_weights: Literal["none", "balanced"] = "none"


class CacheConfig(Section):
    """Decoded photos on disk; the variable ``EDGE_CLASSIFY_CACHE`` names the folder."""

    #: Size that the decoded photos of all data sets may have, gigabytes; null: half of the free
    #: disk; 0: none, each epoch decodes the photos again.
    limit_gb: Annotated[Number, Field(ge=0)] | None = None


class CallbacksConfig(Section):
    """EarlyStopping, ModelCheckpoint and ReduceLROnPlateau, in every phase."""

    #: What tells the best epoch, in the validation part.
    monitor: Literal["val_loss", "val_accuracy", "val_f1"] = "val_loss"
    #: Epochs without improvement after which a phase ends; 0: never.
    early_stopping_patience: Count = 5
    #: Epochs without improvement after which the learning rate is cut; 0: never.
    plateau_patience: Count = 3
    #: What the learning rate is then multiplied by.
    plateau_factor: Annotated[Number, Field(gt=0, lt=1)] = 0.5


class EvaluationConfig(Section):
    """The figures and the page at the end of a training; thresholds are fitted on val photos."""

    #: Share of the right validation answers that the "unknown" threshold may cost. 0: none.
    unknown_share: Annotated[Number, Field(ge=0, lt=1)] = 0.05
    #: Precision that the threshold of each class has to reach.
    precision: Annotated[Number, Field(gt=0, le=1)] = 0.95
    #: Mistakes, and as many doubtful hits, that report.html shows; of label errors twice as many.
    shown_photos: Annotated[int, Field(strict=True, ge=0, le=200)] = 12
    #: Answer the training photos, too: shows what was memorised, and more suspected label errors.
    train_photos: bool = True
    #: Predictions of these photos by networks that had not seen them (``predictions.csv`` of
    #: ``edge-train crossval``), among which label errors are then looked for; null: this network's.
    out_of_fold: Annotated[str, Field(min_length=1)] | None = None


class TrackingConfig(Section):
    """Curves and pictures beside ``history.csv``; a failure of theirs never ends a training."""

    #: Event files for TensorBoard in ``RUN/tensorboard``: ``on``, ``off``, or ``auto``, where it
    #: is installed.
    tensorboard: Annotated[Literal["auto", "on", "off"], BeforeValidator(on_off)] = "auto"
    #: Weights & Biases (extra ``wandb``); the variable ``WANDB_MODE=offline`` needs no network.
    wandb: bool = False
    #: Name of the project there.
    project: Annotated[str, Field(min_length=1)] = "edge-classify"
    #: Photos of the test part, else of val, that are shown with their answers at the end.
    photos: Annotated[int, Field(strict=True, ge=0, le=100)] = 16


class Config(Section):
    """Everything that decides what ``fit`` does, apart from the photos."""

    data: DataConfig = DataConfig()
    image: ImageConfig = ImageConfig()
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    head: HeadConfig = HeadConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    full: FullConfig = FullConfig()
    loss: LossConfig = LossConfig()
    callbacks: CallbacksConfig = CallbacksConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    cache: CacheConfig = CacheConfig()
    tracking: TrackingConfig = TrackingConfig()
    #: Photos in a training step.
    batch_size: Annotated[int, Field(strict=True, ge=1, le=65536)] = 32
    #: Of the split, the head's start, the order of the photos and the augmentation.
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    #: 16-bit arithmetic while training: ``off``, ``float16`` (or ``on``), ``bfloat16``, or ``auto``,
    #: float16 where there is a GPU. A few steps are tried in both precisions first; float32 stays
    #: where they disagree or nothing is gained. The model that is written is float32 in any case.
    #: YAML 1.1 reads on and off as true and false, which are the same here.
    mixed_precision: Annotated[
        Literal["auto", "on", "off", "float16", "bfloat16"], BeforeValidator(on_off)
    ] = "auto"
    #: Several devices: ``auto`` (all GPUs of this machine, where it has more than one), ``mirrored``
    #: (all devices of this machine), ``multi-worker`` (those of several processes on one or more
    #: hosts, which Keras's variables KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and
    #: _PROCESS_ID name; on JAX alone, because Keras 3 has no MultiWorkerMirroredStrategy on
    #: TensorFlow), or ``none``.
    strategy: Literal["auto", "none", "mirrored", "multi-worker"] = "auto"

    @property
    def from_scratch(self) -> bool:
        """Whether the training starts with random weights."""
        return self.model.weights == "none" and self.model.from_run is None

    @property
    def full_epochs(self) -> int:
        """Epochs of the phase that trains from scratch."""
        own = self.full.epochs
        return self.head.epochs + self.finetune.epochs if own is None else own

    @model_validator(mode="after")
    def _check(self) -> Config:
        epochs = self.full_epochs if self.from_scratch else self.head.epochs + self.finetune.epochs
        if not epochs:
            raise ValueError("no epoch to train: head.epochs, finetune.epochs (or full.epochs)")
        return self
