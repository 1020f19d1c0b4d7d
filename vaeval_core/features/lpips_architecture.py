"""The two networks that LPIPS is published for, as far as it uses them: five slices each, of which every output is compared.

    alex   the convolutions of AlexNet (Krizhevsky 2014, arXiv:1404.5997), 64 to 256 channels
    vgg    those of VGG-16 (Simonyan and Zisserman 2015, arXiv:1409.1556), 64 to 512 channels

Source of the slices: Zhang et al. 2018, arXiv:1801.03924, section 3 and appendix B: the outputs of conv1 to conv5 after their
rectification. Module names are those of the state dict of `lpips.LPIPS`, release 0.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from vaeval_core.protocol import PerceptualNetwork


@dataclass(frozen=True)
class Convolution:
    """A convolution with bias, and the rectification after it.

    Attributes:
        module: Its name in the state dict.
        size: Rows and columns of its kernel.
        inputs: Channels that it takes.
        outputs: Channels that it gives.
        stride: Step in rows and columns.
        padding: Zeros around the image.
    """

    module: str
    size: int
    inputs: int
    outputs: int
    stride: int = 1
    padding: int = 1


@dataclass(frozen=True)
class Slice:
    """A part of a network whose output is compared: perhaps a maximum over windows, then convolutions.

    Attributes:
        convolutions: In their order.
        pool: Side of the windows of the maximum, which are two apart; None for none.
    """

    convolutions: tuple[Convolution, ...]
    pool: int | None = None

    @property
    def channels(self) -> int:
        """Channels of its output."""
        return self.convolutions[-1].outputs


@dataclass(frozen=True)
class Architecture:
    """One of the networks.

    Attributes:
        slices: From the image on.
        smallest_side: In images with a shorter side nothing would be left after the last maximum.
    """

    slices: tuple[Slice, ...]
    smallest_side: int


SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)
"""Of red, green and blue in [-1, 1]: what is taken off of pixels, and what they are divided by, before either network."""

ARCHITECTURES: dict[PerceptualNetwork, Architecture] = {
    "alex": Architecture(
        (
            Slice((Convolution("net.slice1.0", 11, 3, 64, stride=4, padding=2),)),
            Slice((Convolution("net.slice2.3", 5, 64, 192, padding=2),), pool=3),
            Slice((Convolution("net.slice3.6", 3, 192, 384),), pool=3),
            Slice((Convolution("net.slice4.8", 3, 384, 256),)),
            Slice((Convolution("net.slice5.10", 3, 256, 256),)),
        ),
        smallest_side=31,
    ),
    "vgg": Architecture(
        (
            Slice((Convolution("net.slice1.0", 3, 3, 64), Convolution("net.slice1.2", 3, 64, 64))),
            Slice((Convolution("net.slice2.5", 3, 64, 128), Convolution("net.slice2.7", 3, 128, 128)), pool=2),
            Slice(
                (
                    Convolution("net.slice3.10", 3, 128, 256),
                    Convolution("net.slice3.12", 3, 256, 256),
                    Convolution("net.slice3.14", 3, 256, 256),
                ),
                pool=2,
            ),
            Slice(
                (
                    Convolution("net.slice4.17", 3, 256, 512),
                    Convolution("net.slice4.19", 3, 512, 512),
                    Convolution("net.slice4.21", 3, 512, 512),
                ),
                pool=2,
            ),
            Slice(
                (
                    Convolution("net.slice5.24", 3, 512, 512),
                    Convolution("net.slice5.26", 3, 512, 512),
                    Convolution("net.slice5.28", 3, 512, 512),
                ),
                pool=2,
            ),
        ),
        smallest_side=16,
    ),
}
