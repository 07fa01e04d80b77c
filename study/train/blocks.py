"""A network built from an architecture: blocks of convolution, norm, activation and dropout."""

from collections.abc import Sequence

from torch import Tensor, nn

from study.architectures import Architecture, Pool
from study.errors import UsageError
from study.train import norms
from study.train.dropout import Dropout, Dropout2d, Dropouts


class Block(nn.Module):
    """A convolution and what follows it, in the architecture's order; side: of its square map."""

    def __init__(self, conv: nn.Conv2d, after: dict[str, nn.Module], side: int) -> None:
        super().__init__()
        self.conv, self.side = conv, side
        for name, module in after.items():
            self.add_module(name, module)
        self.after = tuple(after)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the output, and its value right after the ReLU.

        x: [N, C, H, W]; skip: added to the convolution's output, before the norm.
        """
        x = self.conv(x)
        if skip is not None:
            x = x + skip
        activated = x
        for name in self.after:
            x = getattr(self, name)(x)
            if name == "relu":
                activated = x
        return x, activated


class Network(nn.Module):
    """The network of an architecture: images [N, channels, size, size] to logits [N, classes].

    With `copies`, as many networks side by side, none seeing another: images [N, copies *
    channels, size, size] to logits [N, copies * classes], every parameter and buffer those of
    the single networks one after the other along its first axis. `dropout` is then one
    probability a copy.

    Raises:
        UsageError: the images are too small, or a norm that cannot be (see norms.build).
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        norm: str = "batch",
        groups: int = 4,
        norm_affine: str = "channel",
        dropout: float | Sequence[float] = 0.0,
        num_classes: int | None = None,
        in_chans: int | None = None,
        img_size: int | None = None,
        copies: int = 1,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes = num_classes or architecture.classes
        self.architecture = architecture
        self.features = nn.ModuleList()
        channels, size = in_chans or architecture.channels, img_size or architecture.size
        self.img_size = size
        if size < architecture.smallest:
            raise UsageError(
                f"img_size={size}: this network takes images of at least"
                f" {architecture.smallest} pixels"
            )
        for number, spec in enumerate(architecture.blocks):
            if isinstance(spec, Pool):
                self.features.append(nn.MaxPool2d(2))
                size //= 2
                continue
            padding = spec.kernel // 2 if architecture.padding else 0
            parts = channels if spec.depthwise else 1
            conv = nn.Conv2d(
                copies * channels, copies * spec.channels, spec.kernel,
                padding=padding, bias=architecture.bias, groups=copies * parts,
            )  # fmt: skip
            channels, size = spec.channels, size + 2 * padding - spec.kernel + 1
            after = {
                "norm": norms.build(
                    norm,
                    channels,
                    groups=groups,
                    affine=norm_affine,
                    size=(size, size),
                    copies=copies,
                ),
                "dropout": _dropout(architecture, dropout, norm, number) if spec.dropout else None,
                "relu": nn.ReLU(inplace=True),
            }
            order = () if spec.bare else architecture.order
            modules = {name: after[name] for name in order}
            self.features.append(Block(conv, {name: m for name, m in modules.items() if m}, size))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Conv2d(
            copies * channels, copies * num_classes, 1, bias=architecture.bias, groups=copies
        )

    def forward(self, x: Tensor) -> Tensor:
        skip = None
        for spec, module in zip(self.architecture.blocks, self.features):
            if isinstance(spec, Pool):
                x = module(x)
                continue
            x, activated = module(x, skip if spec.add_skip else None)
            if spec.save_skip:
                skip = activated
        return self.head(self.pool(x)).flatten(1)


def _dropout(
    architecture: Architecture, p: float | Sequence[float], norm: str, number: int
) -> nn.Module | None:
    """Build the dropout of a block, of one probability or one a copy; None where nothing is
    dropped."""
    if not isinstance(p, (int, float)):
        return Dropouts(p, architecture.whole_channels, number) if any(p) else None
    if not p:
        return None
    # In place: a norm's backward pass does not need its output. A ReLU's does.
    before = architecture.order[architecture.order.index("dropout") - 1]
    behind_norm = before == "norm" and norm != "none"
    return (Dropout2d if architecture.whole_channels else Dropout)(p, inplace=behind_norm)
