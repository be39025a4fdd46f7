"""The configuration of ``edge-train fit``: one validated, frozen object.

Values come from the defaults below, then a YAML file (or a shipped preset), then ``--set`` and
the options of the command line, each over the one before.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from edge_runtime.errors import missing_package
from edge_runtime.manifest import PreprocessSpec

try:
    from pydantic import (
        AfterValidator,
        BaseModel,
        BeforeValidator,
        ConfigDict,
        Field,
        model_validator,
    )
    from pydantic import ValidationError as ValidationError
except ImportError as error:
    raise missing_package("pydantic", "train", "check the configuration") from error


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number was expected")  # noqa: TRY004 - pydantic wants ValueError
    return value


def _ascending(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError("the first number is above the second")
    return value


def _shares(value: tuple[float, ...]) -> tuple[float, ...]:
    if len(value) != 3 or abs(sum(value) - 1) > 1e-6 or not value[0] or not value[1]:
        raise ValueError("expected three shares that add up to 1, those of train and val above 0")
    return value


def _on_off(value: Any) -> Any:
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


Count = Annotated[int, Field(strict=True, ge=0)]
# YAML 1.1 reads 1e-3 (without a point) as text; pydantic turns the text into a number.
Number = Annotated[float, BeforeValidator(_no_bool), Field(allow_inf_nan=False)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
Rate = Annotated[Number, Field(gt=0, le=10)]
Positive = Annotated[Number, Field(gt=0)]


class Section(BaseModel):
    """Base of every section: an unknown key is an error, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """How a folder of class folders is split; a folder with train/ and val/ is taken as it is."""

    #: Shares of train, val and test.
    ratios: Annotated[tuple[Fraction, ...], AfterValidator(_shares)] = (0.8, 0.1, 0.1)


class ImageConfig(Section):
    """How a photo becomes the network's input, in training and on the device."""

    #: Width and height of the input, pixels. The backbones are made for 32 and more.
    size: Annotated[int, Field(strict=True, ge=32, le=2048)] = 224
    #: What happens to a photo that is not square: cut, distorted, or framed in black.
    fit: Literal["crop", "stretch", "pad"] = "crop"
    #: Resize kernel, anti-aliased.
    kernel: Literal["bilinear", "bicubic"] = "bilinear"

    def spec(self) -> PreprocessSpec:
        """The preprocessing rule that travels with the model."""
        return PreprocessSpec(self.size, self.size, fit=self.fit, kernel=self.kernel)


class ModelConfig(Section):
    """The network."""

    #: Name in :data:`trainer.backbones.BACKBONES`.
    backbone: str = "efficientnetb0"
    #: ``imagenet`` (downloaded once by Keras), ``none`` (from scratch), or a weights file.
    weights: Annotated[str, Field(min_length=1)] = "imagenet"
    #: Share of the pooled features that is left out at random while training.
    dropout: Annotated[Number, Field(ge=0, lt=1)] = 0.3
    #: Index of the first backbone layer that the second phase trains; null: the backbone's own.
    fine_tune_at: Count | None = None


class AugmentConfig(Section):
    """Random changes of training photos; each is drawn evenly from its range, photo by photo."""

    #: Share of the photo's area that is seen, from and to; above 1 zooms out (edges mirrored).
    area: Annotated[tuple[Positive, Positive], AfterValidator(_ascending)] = (0.6, 1.0)
    #: Width to height of the part that is seen, relative to the input's.
    ratio: Annotated[tuple[Positive, Positive], AfterValidator(_ascending)] = (0.75, 4 / 3)
    #: Largest turn to either side, degrees.
    rotation: Annotated[Number, Field(ge=0, le=180)] = 15.0
    #: Largest shift to either side beyond what ``area`` leaves, share of the width or height.
    shift: Annotated[Number, Field(ge=0, le=0.5)] = 0.0
    #: Mirror left and right half of the time. Off where the side matters (text, digits).
    flip: bool = True
    #: Brightness is multiplied by 1 - x to 1 + x.
    brightness: Fraction = 0.2
    #: Contrast about the photo's mean grey is multiplied by 1 - x to 1 + x.
    contrast: Fraction = 0.2
    #: Saturation is multiplied by 1 - x to 1 + x.
    saturation: Fraction = 0.2
    #: Hue turns by up to x of the colour circle to either side.
    hue: Annotated[Number, Field(ge=0, le=0.5)] = 0.02


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


class HeadConfig(PhaseConfig):
    """Phase 1: the head on a frozen backbone, whose features are computed once."""

    epochs: Count = 8
    learning_rate: Rate = 5e-3
    #: Augmented views of each training photo; an epoch sees one, in turn. 0: the photos as they are.
    views: Annotated[int, Field(strict=True, ge=0, le=100)] = 4


class FinetuneConfig(PhaseConfig):
    """Phase 2: the backbone from ``model.fine_tune_at`` up, BatchNorm in inference mode."""

    epochs: Count = 10
    learning_rate: Rate = 2e-4
    warmup_epochs: Annotated[Number, Field(ge=0)] = 1.0
    schedule: Literal["constant", "cosine"] = "cosine"


class FullConfig(PhaseConfig):
    """The one phase of ``model.weights: none``: everything is trained, BatchNorm included."""

    #: null: those of ``head`` and ``finetune`` together.
    epochs: Count | None = None  # type: ignore[assignment]  # null only here
    learning_rate: Rate = 2e-3
    warmup_epochs: Annotated[Number, Field(ge=0)] = 1.0
    schedule: Literal["constant", "cosine"] = "cosine"
    #: How much of BatchNorm's running mean a step keeps. Keras's 0.99 lags behind where an
    #: epoch has only dozens of steps.
    batchnorm_momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9


class CallbacksConfig(Section):
    """EarlyStopping, ModelCheckpoint and ReduceLROnPlateau, in every phase."""

    #: What tells the best epoch, in the validation part.
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"
    #: Epochs without improvement after which a phase ends; 0: never.
    early_stopping_patience: Count = 5
    #: Epochs without improvement after which the learning rate is cut; 0: never.
    plateau_patience: Count = 3
    #: What the learning rate is then multiplied by.
    plateau_factor: Annotated[Number, Field(gt=0, lt=1)] = 0.5


class Config(Section):
    """Everything that decides what ``fit`` does, apart from the photos."""

    data: DataConfig = DataConfig()
    image: ImageConfig = ImageConfig()
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    head: HeadConfig = HeadConfig()
    finetune: FinetuneConfig = FinetuneConfig()
    full: FullConfig = FullConfig()
    callbacks: CallbacksConfig = CallbacksConfig()
    #: Photos in a training step.
    batch_size: Annotated[int, Field(strict=True, ge=1, le=65536)] = 32
    #: Of the split, the head's start, the order of the photos and the augmentation.
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    #: float16 arithmetic while training. ``auto``: where there is a GPU. The model that is
    #: written is float32 in any case.
    #: YAML 1.1 reads on and off as true and false, which are the same here.
    mixed_precision: Annotated[Literal["auto", "on", "off"], BeforeValidator(_on_off)] = "auto"

    @property
    def from_scratch(self) -> bool:
        """Whether no pretrained weights are used."""
        return self.model.weights == "none"

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
